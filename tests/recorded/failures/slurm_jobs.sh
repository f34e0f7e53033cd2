#!/bin/bash
# The jobs behind the cases slurm-*.txt, for the test cluster: their output is the case's worker_log, `row` what sacct says of them.
submit() { sbatch --parsable --mem=100 --cpus-per-task=1 --time="$3" --job-name="$1" --output="$1.log" --open-mode=append --wrap="$2"; }
eat='python3 -c "held = [bytearray(10 << 20) for _ in range(60)]"'
submit oom "exec $eat" 5
submit oom_child "$eat; echo the script goes on; exit 3" 5
submit oom_step "srun $eat" 5
submit scancelled "sleep 300" 5 # scancel it
submit time_limit "sleep 300" 1
submit exit_137 "python3 -c 'import os; os.kill(os.getpid(), 9)'; exit 137" 5
