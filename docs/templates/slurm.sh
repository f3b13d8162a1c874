#!/bin/bash
#SBATCH --job-name=northwall
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2        # ranks of a node: a multiple of tp keeps its groups on one node
#SBATCH --cpus-per-task=8          # threads of a rank
#SBATCH --hint=nomultithread       # cores, not hardware threads
#SBATCH --exclusive
#SBATCH --time=00:30:00
set -eu
model=${1:?usage: sbatch slurm.sh MODEL}
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
# block: ranks in a row on one node, as the plan numbers them. cores: each rank's own, of which northwall takes one a thread.
srun --mpi=pmix --distribution=block:block --cpus-per-task="$SLURM_CPUS_PER_TASK" --cpu-bind=cores northwall topo
srun --mpi=pmix --distribution=block:block --cpus-per-task="$SLURM_CPUS_PER_TASK" --cpu-bind=cores \
    northwall bench --model "$model" --tp "$SLURM_NTASKS_PER_NODE" --pp "$SLURM_JOB_NUM_NODES" --timeout 600
