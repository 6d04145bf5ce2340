"""`asrpar.parallel` in a training loop that knows nothing of this toolkit: the example of the docs."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import asrpar.parallel


@pytest.fixture
def example(repo) -> list[str]:
    """Lines of the example, with their signs."""
    text = (repo / "docs/parallel.md").read_text(encoding="utf-8")
    return text.split("```diff\n")[1].split("```")[0].splitlines()


def program(example: list[str], sign: str) -> str:
    return "\n".join(line[1:] for line in example if line[:1] in (" ", sign)) + "\n"


def test_ten_lines_change(example):
    before = {line[1:].strip() for line in example if line.startswith("-")}
    assert sum(line[0] == "+" and line[1:].strip() not in before for line in example if line) <= 10


def error(path) -> float:
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5))
    model.load_state_dict(torch.load(path, weights_only=True))
    torch.manual_seed(0)
    inputs = torch.randn(4096, 20)
    labels = (inputs @ torch.randn(20, 5)).argmax(1)
    return F.cross_entropy(model(inputs), labels).item()


def test_alone_it_trains_as_before(example, tmp_path):
    for name, sign in (("before", "-"), ("after", "+")):
        (tmp_path / name).mkdir()
        text = program(example, sign).replace('"bmuf", {"sync_steps": 8}', '"single", {}')
        subprocess.run([sys.executable, "-c", text], cwd=tmp_path / name, check=True)
    before, after = (error(tmp_path / name / "model.pt") for name in ("before", "after"))
    assert before < 0.3 and after == pytest.approx(before, rel=1e-3)


@pytest.mark.mpi
def test_two_learners_train_one_model(example, mpirun, tmp_path):
    mpirun(2, program(example, "+"), cwd=tmp_path)
    assert error(tmp_path / "model.pt") < 0.4


def test_what_the_door_does_not_have():
    with pytest.raises(AttributeError, match="no attribute 'make_coffee'"):
        asrpar.parallel.make_coffee  # noqa: B018
