"""tools/bench/kills.py on a run that is a few lines of bash; real trainings are killed by the program itself."""

import importlib
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

# Counts to six in a file, and goes on where it was; it holds nothing and leaves nothing.
COUNT = 'mkdir -p "$1"; while (($(wc -l < "$1/lines") < 6)); do sleep 0.15; echo x >> "$1/lines"; done'
# What it starts stays behind when it is killed.
LEAVES = f"sleep 600 & {COUNT}; kill $!; wait"


@pytest.fixture
def kills(repo, monkeypatch):
    monkeypatch.syspath_prepend(repo / "tools/bench")
    return importlib.import_module("kills")


@pytest.fixture
def work(kills):
    def check(results: Path, whole: Path) -> str:
        return "" if (results / "lines").read_text() == (whole / "lines").read_text() else "other lines"

    def make(code: str):
        begin = 'mkdir -p "$1"; touch "$1/lines"; '
        return kills.Work("count", lambda results: ["bash", "-c", begin + code, "bash", results], check, "x")

    return make


def test_what_goes_on_and_leaves_nothing_is_well(kills, work, tmp_path):
    args = SimpleNamespace(kills=2, seed=0, seconds=5.0)
    found = list(kills.campaign(work(COUNT), ["top"], args, tmp_path))
    row = kills.table(found)["count: top"]
    assert row["kills"] == 2 and row["runs"] >= 1
    assert (row["left"], row["wrong"]) == ([], [])


def test_what_stays_behind_is_named_and_ended(kills, work, tmp_path):
    found = kills.kill_one(work(LEAVES), "top", tmp_path / "run", 0.3, random.Random(0), 0.5)
    assert found["seconds"] >= 0.5
    assert any(left.endswith("sleep 600 ") for left in found["left"])
    assert kills.table([found])["count: top"]["left"] == [found["left"]]


def test_a_run_that_ends_otherwise_is_wrong(kills, work, tmp_path):
    it = work(COUNT)
    it.undisturbed(tmp_path)
    it.finish(tmp_path / "run")
    assert it.check(tmp_path / "run", it.whole) == ""
    (tmp_path / "run" / "lines").write_text("y")
    assert it.check(tmp_path / "run", it.whole) == "other lines"
    # Nobody was there to be killed: the run had ended before.
    assert kills.kill_one(work("true"), "top", tmp_path / "none", 1e9, random.Random(0), 0.5) == {}


def test_works_have_undisturbed_runs_of_their_own(kills, tmp_path):
    first, second = (kills.Work(name, lambda results: ["mkdir", results], None, "x") for name in ("ssgd", "adpsgd"))
    first.undisturbed(tmp_path)
    second.undisturbed(tmp_path)
    assert first.whole != second.whole and first.whole.is_dir() and second.whole.is_dir()


def test_steps_around_events_and_since_the_newest_checkpoint(kills, tmp_path):
    assert kills.around(2, 7) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert kills.steps_saved(tmp_path) == 0
    for name in ("epoch-0000-step-00000003", "epoch-0001-step-00000012", "epoch-0001-step-00000015.tmp"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert kills.steps_saved(tmp_path) == 12


def test_a_run_that_cannot_go_on_is_told(kills, work, tmp_path):
    with pytest.raises(RuntimeError, match="could not go on:\\nno room"):
        kills.kill_one(work("echo no room; exit 3"), "top", tmp_path / "run", 1e9, random.Random(0), 0.5)


@pytest.mark.parametrize(
    ("kind", "line", "above", "is_it"),
    [
        ("rank", "python -P -m mpi4py -m asrpar train ", "prterun -n 2 python -P -m mpi4py ", True),
        ("rank", "prterun -n 2 python -P -m mpi4py ", "python asrpar launch --learners 2 ", False),
        ("mpirun", "prterun -n 2 python -P -m mpi4py ", "python asrpar launch --learners 2 ", True),
        ("mpirun", "/x/bin/mpirun --version ", "python asrpar launch --learners 2 ", False),
        ("launcher", "python /x/bin/asrpar launch --learners 2 ", "bash run.sh ", True),
        ("script", "bash /x/run.sh --stage 6 ", "bash ", True),
        ("script", "bash /x/run.sh --stage 6 ", "bash /x/run.sh --stage 6 ", False),  # a subshell
        ("worker", "python -c from multiprocessing.forkserver import main ", "python asrpar extract-features ", False),
        ("worker", "python -c from multiprocessing.forkserver import main ", "python -c ... forkserver ", True),
    ],
    ids=lambda value: value if value in ("rank", "mpirun", "launcher", "script", "worker") else "",
)
def test_processes_are_told_by_their_command_lines(kills, kind, line, above, is_it):
    from left_behind import KINDS

    assert KINDS[kind](line, above) == is_it
