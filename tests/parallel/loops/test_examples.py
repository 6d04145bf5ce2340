"""The examples of docs/library.md: few lines change, alone they train as before, and two learners train one model."""

import difflib
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

PROGRAM = Path(__file__).parent / "programs/examples.py"


@pytest.fixture(scope="module")
def examples(repo) -> list[list[str]]:
    """Lines of each example, with their signs."""
    text = (repo / "docs/library.md").read_text(encoding="utf-8")
    return [part.split("```")[0].splitlines() for part in text.split("```diff\n")[1:]]


def program(example: list[str], sign: str) -> str:
    return "\n".join(line[1:] for line in example if line[:1] in (" ", sign)) + "\n"


def run(text: str, folder, monkeypatch) -> dict:
    folder.mkdir()
    monkeypatch.chdir(folder)
    names = {"__name__": "__main__"}
    exec(compile(text, "example.py", "exec"), names)
    return names


def error(path) -> float:
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5))
    model.load_state_dict(torch.load(path, weights_only=True))
    torch.manual_seed(0)
    inputs = torch.randn(4096, 20)
    labels = (inputs @ torch.randn(20, 5)).argmax(1)
    return F.cross_entropy(model(inputs), labels).item()


def test_there_are_three(examples):
    assert len(examples) == 3


def test_at_most_ten_lines_change(examples):
    for example in examples:
        before, after = (program(example, sign).splitlines() for sign in "-+")
        changed = [line for line in difflib.ndiff(before, after) if line[0] == "+"]
        # What is only moved to the right counts for nothing.
        same = {line.strip() for line in before}
        assert len([line for line in changed if line[2:].strip() not in same]) <= 10


def test_alone_they_train_as_before(examples, tmp_path, monkeypatch, capsys):
    for number, example in enumerate(examples):
        texts = {"before": program(example, "-"), "after": program(example, "+")}
        texts["after"] = texts["after"].replace('"bmuf", {"sync_steps": 8}', '"single"')
        found = {name: run(text, tmp_path / f"{number}_{name}", monkeypatch) for name, text in texts.items()}
        models = [next(v for v in names.values() if isinstance(v, nn.Module)) for names in found.values()]
        for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    assert error(tmp_path / "0_before/model.pt") < 0.3
    assert "epoch 2: " in capsys.readouterr().out


@pytest.mark.mpi
def test_two_learners_train_one_model(examples, mpirun, tmp_path, repo):
    programs = tmp_path / "programs.json"
    programs.write_text(json.dumps([program(example, "+") for example in examples]))
    path = {"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}
    mpirun(2, PROGRAM, tmp_path, programs, env=path, timeout=240)
    for name in ("ssgd", "bmuf", "adpsgd"):
        assert error(tmp_path / f"0_{name}/model.pt") < 0.45
        right = [int((tmp_path / f"1_{name}/right.{rank}").read_text()) for rank in (0, 1)]
        assert right[0] == right[1] > 0.9 * 256
        assert len(list((tmp_path / f"2_{name}/checkpoints").iterdir())) == 2
        saved = torch.load(tmp_path / f"2_{name}/module.pt", weights_only=True)
        assert saved["encoder.1.running_mean"].abs().max() > 0
