#!/bin/bash
# A job for every row of jobs.csv, at most ten at a time: write as many rows into --array.
#SBATCH --job-name=fieldrx
#SBATCH --array=1-20%10
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=16G
#SBATCH --time=02:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

srun --cpus-per-task="$SLURM_CPUS_PER_TASK" fieldrx batch jobs.csv --index "$SLURM_ARRAY_TASK_ID"
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
