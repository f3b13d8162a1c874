#!/bin/bash
#PBS -N northwall
#PBS -l select=2:ncpus=16:mpiprocs=2:ompthreads=8
#PBS -l place=scatter:excl
#PBS -l walltime=00:30:00
#PBS -v MODEL
set -eu
cd "$PBS_O_WORKDIR"
# A line of the file is a rank; an Open MPI without PBS support is told of it.
mpirun --hostfile "$PBS_NODEFILE" -n "$(wc -l <"$PBS_NODEFILE")" --map-by slot --bind-to none -x OMP_NUM_THREADS=8 \
    northwall bench --model "${MODEL:?qsub -v MODEL=FILE pbs.sh}" --tp 2 --pp 2 --timeout 600
