#!/bin/bash
# The rows of jobs.csv on the GPUs of a node, one row on each.
#SBATCH --job-name=fieldrx
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --mem=128G
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

srun --cpus-per-task="$SLURM_CPUS_PER_TASK" fieldrx batch jobs.csv --workers "$SLURM_GPUS_ON_NODE"
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
