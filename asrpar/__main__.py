"""``python -m asrpar`` (and ``python -m mpi4py -m asrpar`` on every rank)."""

from asrpar.launch.safepath import leave_current_folder

leave_current_folder()

from asrpar.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
