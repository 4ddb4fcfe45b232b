#!/bin/bash
# One reconstruction.  Where the time does not suffice it saves, and the job goes back into the queue.
#SBATCH --job-name=fieldrx
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

srun --cpus-per-task="$SLURM_CPUS_PER_TASK" fieldrx run cell/acquisition.toml -o cell-result --resume
status=$?
if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
