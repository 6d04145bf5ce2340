"""tools/bench/goodput.py on a training that is a few lines of bash; real ones are killed by the program itself."""

import importlib
from types import SimpleNamespace

import pytest

# A step each 50 ms of two ranks that are started again; stops in good order, with 100 frames a step.
TRAINING = r"""
exp=$1 last=$2 steps=0
mkdir -p "$exp/log/beats"
say() { echo "$(date +"%F %T,%3N") INFO asrpar.train: $1" >>"$exp/log/train.0.log"; }
rank() { (exec -a "python -m mpi4py -m asrpar train" sleep 600) & }
trap 'echo "{\"frames\": ${steps}00}" >"$exp/train.json"; kill $(jobs -p); exit 143' TERM
say "dnn of 7 parameters, strategy x on 2 learner(s), 1000 frames an epoch, device cpu"
rank; one=$!; rank; two=$!
while ((steps < last)); do
  sleep 0.05 & wait $!
  steps=$((steps + 1))
  echo "{\"step\": $steps}" >"$exp/log/beats/0.json"
  for pid in $one $two; do
    if ! kill -0 $pid 2>/dev/null; then
      say "rank 1 of 2 lost; going on with 1 learner(s)"
      sleep 0.3; rank
      [[ $pid == "$one" ]] && one=$! || two=$!
      say "rank 1 is back; going on with 2 learner(s)"
    fi
  done
done
[[ $3 == fail ]] && { echo "asrpar: error: no room" >&2; kill $(jobs -p); exit 3; }
sleep 600 & wait
"""


@pytest.fixture
def goodput(repo, monkeypatch):
    monkeypatch.syspath_prepend(repo / "tools/bench")
    module = importlib.import_module("goodput_run")
    monkeypatch.setattr(module, "PAUSE", 0.05)
    monkeypatch.setattr(module, "STACKS", 0.2)
    monkeypatch.setattr(module, "GONE", 0.5)
    return module


def start(goodput, exp, seconds=0.0, kills=None, last=10**6, then="stay"):
    command = ["bash", "-c", TRAINING, "mpirun ", exp, last, then]
    run = goodput.Run(command, exp, seconds, kills, hang=1.0)
    run.watch()
    run.end()
    return run.found(before=0, learners=2)


def test_learners_that_are_killed_and_come_back(goodput, tmp_path):
    found = start(goodput, tmp_path / "x", 2.5, goodput.Kills(1.0, 10, "0"))
    assert (found["hung"], found["failed"], found["left"]) == ("", "", [])
    assert (found["kills"], found["never_back"]) == (2, 0)
    times = found["seconds_until_back"]
    assert min(times) >= 0.3 and found["back"]["max"] == pytest.approx(max(times), abs=0.01)
    assert found["frames"] >= 100 and found["seconds"] >= 2.5


def test_a_training_that_stands_still_is_ended_and_told(goodput, tmp_path):
    found = start(goodput, tmp_path / "x", last=3)
    assert found["hung"].startswith("took no step for ") and not found["failed"]
    # What asrpar launch has a guard for, this one has not.
    assert any(line.endswith("-m asrpar train 600 ") for line in found["left"])
    # Not for the next one that looks.
    assert not (tmp_path / "x" / "log" / "stalled").exists()


def test_a_training_that_fails_says_why(goodput, tmp_path):
    found = start(goodput, tmp_path / "x", last=1, then="fail")
    assert found["failed"] == "exit code 3: asrpar: error: no room" and found["frames"] == 0


def test_the_last_rank_is_spared(goodput):
    kills = goodput.Kills(1.0, 10, "0")
    kills.kill(SimpleNamespace(find_all=lambda kind: [1]), 4)
    # Two are there, and one of them is not among the others yet.
    kills.kill(SimpleNamespace(find_all=lambda kind: [1, 2]), 1)
    assert (kills.skipped, kills.moments) == (2, [])


def test_what_logs_tell(goodput, tmp_path):
    logs = importlib.import_module("goodput_logs")
    line = "2026-11-30 10:00:0{},000 INFO asrpar.train.report: {}"
    said = ["epoch 1: train loss 2.5, dev loss 1.50, dev x", "epoch 2: train loss 2.5, dev loss nan, dev x", "epoch 3"]
    (tmp_path / "train.1.log").write_text("".join(line.format(i, text) + "\n" for i, text in enumerate(said)))
    lines = logs.read(tmp_path)
    assert logs.began(lines) is None
    assert logs.dev_losses(lines)[1] == 1.5 and len(logs.dev_losses(lines)) == 2
    assert [x.text for x in logs.read(tmp_path, lines[2].when)] == ["epoch 3"]
    assert logs.mean_moved([logs.Said(0.0, "the mean of all has moved by 3.2e-08 of its norm")]) == [3.2e-08]
    # The second learner was lost before the first had come back.
    changes = [(1.1, 3), (2.0, 2), (5.0, 3), (6.0, 4)]
    assert logs.seconds_until_full([1.0, 1.9, 7.0], changes, 4) == [5.0, 6.0 - 1.9, None]
    (tmp_path / "beats").mkdir()
    (tmp_path / "beats" / "0.json").write_text('{"step": 7}')
    (tmp_path / "beats" / "1.json").write_text("")
    assert logs.steps(tmp_path, {"1.json": 3}) == {"0.json": 7, "1.json": 3}


def test_what_is_wrong_with_a_campaign(goodput):
    program = importlib.import_module("goodput")
    args = program.parse(["--score"])
    fine = {"hung": "", "failed": "", "left": [], "share": 0.9, "kills": 3, "back": {"max": 4.0}, "wer": 20.0}
    fine |= {"mean_moved": 1e-8, "dev_loss": {}}
    row = {"undisturbed": [fine], "finished": [], "runs": [fine], "wer": 21.0}
    assert program.wrong(args, "x", row) == []
    bad = fine | {"hung": "took no step for 60 s", "share": 0.5, "back": {}, "wer": 23.0, "left": ["7 sleep"]}
    assert len(program.wrong(args, "x", row | {"runs": [bad | {"mean_moved": 0.1}]})) == 6
    assert program.compared({1: 2.0, 2: 1.5}, {1: 2.1}) == {"epoch": 1, "killed": 2.0, "undisturbed": 2.1}
    assert program.rate([{"frames": 100, "seconds": 1.0}, {"frames": 50, "seconds": 2.0}]) == 50.0
