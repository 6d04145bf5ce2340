"""Start a command on N learners, with Open MPI, MPICH or Slurm's srun, and see to it that nothing of it is left behind.

`job` makes the command line, for the launcher that `launchers` finds and the hosts that `allocation` counts; `run` runs
it and finds out which rank failed; `rank` is what a rank knows of its launcher. Nothing here imports torch or MPI.
"""
