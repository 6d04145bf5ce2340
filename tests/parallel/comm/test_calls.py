"""Starting learners in the places of lost ones: again if it fails, but not for ever."""

import os
import signal
import subprocess
import sys

import pytest

from asrpar.errors import TrainingError
from asrpar.launch import standby
from asrpar.launch.guard import JOB
from asrpar.launch.rank import REJOIN

# To be looked at only: pytest's own process is no rank.
pytest.importorskip("mpi4py").rc.initialize = False
calls = pytest.importorskip("asrpar.parallel.comm.calls", reason="needs an MPI library", exc_type=ImportError)


class Call:
    """A newcomer that does as it is told."""

    made = 0

    def __init__(self, invitation):
        Call.made += 1
        self.invitation, self.ready, self.failed, self.told = invitation, False, False, []

    def lost(self):
        return self.failed

    def comes(self):
        return self.ready

    def tell(self, word):
        self.told.append(word)


@pytest.fixture
def begun(monkeypatch):
    monkeypatch.setattr(calls, "Call", Call)
    Call.made = 0
    return calls.Calls()


def test_who_fails_is_started_again_some_times(begun):
    begun.begin([2], "brief")
    begun.begin([2], "brief")
    assert Call.made == 1
    for tries in range(2, calls.TRIES + 1):
        begun.under_way[2].failed = True
        assert begun.ready() == [] and Call.made == tries
    begun.under_way[2].failed = True
    with pytest.raises(TrainingError, match="learner 2 could not come back: 5 times in a row"):
        begun.ready()


def test_who_is_lost_soon_after_each_return_ends_the_run(begun):
    for _ in range(calls.TRIES):
        begun.begin([1], "brief")
        begun.under_way[1].ready = True
        assert begun.ready() == [1]
        (call,) = begun.come()
        begun.came(well=True)
        assert call.told == [calls.GO] and not begun.under_way
    with pytest.raises(TrainingError, match="learner 1 could not come back"):
        begun.begin([1], "brief")


def test_who_stayed_for_long_may_be_lost_as_often_as_it_likes(begun, monkeypatch):
    monkeypatch.setattr(calls, "SOON", 0.0)
    for _ in range(2 * calls.TRIES):
        begun.begin([1], "brief")
        begun.under_way[1].ready = True
        begun.come()
        begun.came(well=True)


def test_who_may_not_come_after_all_is_sent_away_and_another_called(begun):
    begun.begin([0, 3], "brief")
    begun.under_way[3].ready = True
    (call,) = begun.come()
    begun.came(well=False)
    assert call.told == [None] and list(begun.under_way) == [0]
    begun.begin([0, 3], "brief")
    assert Call.made == 3


def test_a_newcomer_has_the_command_line_and_the_variables_of_the_others(monkeypatch):
    monkeypatch.delenv(JOB, raising=False)
    monkeypatch.setenv(REJOIN, "OMP_NUM_THREADS,NOT_SET")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    program, arguments = calls.command(2)
    # Without the second, Open MPI ends the job if one cannot begin MPI.
    own = ["OMP_NUM_THREADS=3", "OMPI_MCA_mpi_initial_errhandler=mpi_errors_return", "ASRPAR_SEAT=2", sys.executable]
    assert program.endswith("env") and arguments[:4] == own
    assert arguments[4:] == sys.orig_argv[1:]
    # On the launcher's host somebody is on standby.
    monkeypatch.setenv(JOB, "/some/job")
    assert calls.command(2)[1][4:] == standby.program("/some/job/standby", *sys.orig_argv[1:])[1:]


def test_a_newcomer_that_cannot_begin_mpi_is_no_failure(tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py/__init__.py").touch()
    (tmp_path / "mpi4py/MPI.py").write_text("raise RuntimeError('whoever started this has died')\n")
    code = "from asrpar.launch.rank import begin_early; begin_early()"
    env = {**os.environ, "ASRPAR_SEAT": "2", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == -signal.SIGKILL  # which mpirun takes for a loss, not for the end of the job
    assert "[asrpar,2]<stderr>: MPI could not begin" in done.stderr and "Traceback" not in done.stderr
