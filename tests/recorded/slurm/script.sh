#!/bin/bash

# Parameters
#SBATCH --array=0-39%9
#SBATCH --constraint='a100|h100'
#SBATCH --cpus-per-task=4
#SBATCH --dependency=singleton
#SBATCH --exclusive
#SBATCH --gres=gpu:a100:1
#SBATCH --job-name=mtl_knee-4f2a
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=32256M
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/runs/mtl_knee/submissions/mtl_knee-4f2a/logs/worker-%a.log
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --signal=B:USR1@90
#SBATCH --time=91

# setup
module load cuda

# command
export SUBMITIT_EXECUTOR=slurm
exec /opt/venv/bin/python -P -m orchestrator.worker /runs/mtl_knee/submissions/mtl_knee-4f2a
