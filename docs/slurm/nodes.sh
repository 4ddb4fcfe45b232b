#!/bin/bash
# The rows of jobs.csv on several nodes, four at a time on each, which take what no other has taken.
#SBATCH --job-name=fieldrx
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --mem=128G
#SBATCH --time=08:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=0 fieldrx batch jobs.csv --workers 4
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
