"""Start a command on N learners, with Open MPI, MPICH or Slurm's srun, and see to it that nothing of it is left behind.

`spec` is what the user asks for; `job` makes the command line of it, for the launcher that `launchers` finds (one file
each, under the contract of `program`) and the hosts that `allocation` counts. `run` runs it: `output` takes apart what
the ranks say, `diagnosis` finds the one that failed, `forward` passes signals on, and `guard` ends what is left. `rank`
is what a rank knows of all this. Nothing here imports torch or MPI.
"""
