#!/bin/bash

# Parameters
#SBATCH --array=0-39%9
#SBATCH --constraint='a100|h100'
#SBATCH --cpus-per-task=3
#SBATCH --dependency=singleton
#SBATCH --exclusive
#SBATCH --job-name=mtl_knee-4f2a
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=2048M
#SBATCH --nodes=2
#SBATCH --open-mode=append
#SBATCH --output=/runs/mtl_knee/submissions/mtl_knee-4f2a/logs/worker-%a.log
#SBATCH --partition=gpu
#SBATCH --signal=USR1@90
#SBATCH --time=5

# setup
module load cuda

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /runs/mtl_knee/submissions/mtl_knee-4f2a/%A_%a_%t_log.out --ntasks-per-node=1 --cpus-per-task=3 --kill-on-bad-exit=1 --open-mode=append --output=/runs/mtl_knee/submissions/mtl_knee-4f2a/logs/worker-%a.%t.log /opt/venv/bin/python -P -m orchestrator.worker /runs/mtl_knee/submissions/mtl_knee-4f2a
