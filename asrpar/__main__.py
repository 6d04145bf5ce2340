"""``python -m asrpar`` (and ``python -m mpi4py -m asrpar`` on every rank)."""

from asrpar.cli import main

if __name__ == "__main__":
    main()
