"""Model files: what is in them, and those of earlier versions."""

import pytest
import torch

from asrpar.errors import AsrparError
from asrpar.nn.models import MODELS, build_model
from asrpar.train.model_io import load_acoustic_model, save_acoustic_model

# Settings of format 2, which all models had in common.
BAG = {
    "type": "tdnn",
    "channels": 8,
    "dilations": [1, 2],
    "kernel": 3,
    "bottleneck": 0,
    "cells": 4,
    "lstm_cells": 0,
    "num_layers": 2,
    "subsampling": 3,
    "conv_maps": 4,
    "conv_layers": 0,
    "jitter": True,
    "dropout": 0.2,
    "init": "even",
}
TDNN = {"channels": 8, "dilations": [1, 2], "conv_maps": 4}


def model(name, settings):
    settings = MODELS.settings(name, {name: settings})
    return settings, build_model(name, settings, 10, 7).eval()


@pytest.mark.parametrize(
    ("old", "name", "settings"),
    [
        ({}, "tdnn", TDNN),
        ({"conv_maps": 0, "conv_layers": 2, "bottleneck": 5}, "tdnn", TDNN | {"conv_maps": 0}),
        ({"lstm_cells": 3}, "cldnn", TDNN | {"cells": 3}),
        ({"type": "tdnnf", "bottleneck": 4}, "tdnnf", TDNN | {"bottleneck": 4}),
        ({"type": "blstm", "bottleneck": 4, "kernel": 4}, "blstm", {"cells": 4, "num_layers": 2, "bottleneck": 4}),
    ],
)
def test_files_of_format_2_are_read(tmp_path, old, name, settings):
    settings, made = model(name, {"conv_maps": 4, "dropout": 0.2, "init": "even"} | settings)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)
    value = {"format": 2, "model": BAG | old, "num_features": 10, "num_classes": 7, "weights": made.state_dict()}
    torch.save(value | {"notes": {"seed": 3}, "identity": None}, tmp_path / "final.pt")
    read, facts = load_acoustic_model(tmp_path / "final.pt")
    x, lens = torch.randn(2, 20, 10), torch.tensor([20, 13])
    assert torch.equal(read(x, lens)[0], made(x, lens)[0]) and not read.training
    assert (facts["model"], facts["loss"], facts["blank"], facts["notes"]) == (name, "ctc", 0, {"seed": 3})
    assert MODELS.settings(name, {name: facts["settings"]}) == settings


def test_a_model_that_there_is_no_longer(tmp_path):
    value = {"format": 2, "model": BAG | {"type": "tdnnf", "bottleneck": 4, "lstm_cells": 3}}
    torch.save(value | {"num_features": 10, "num_classes": 7, "weights": {}}, tmp_path / "final.pt")
    with pytest.raises(AsrparError, match=r"final\.pt is a TDNN-F with an LSTM layer"):
        load_acoustic_model(tmp_path / "final.pt")


@pytest.mark.parametrize(("loss", "blank"), [("ctc", 0), ("frame_ce", None)])
def test_a_file_says_what_the_model_is_and_whether_it_has_a_blank(tmp_path, loss, blank):
    settings, made = model("cldnn", TDNN | {"cells": 3})
    facts = {"model": "cldnn", "settings": settings, "num_features": 10, "num_classes": 7}
    save_acoustic_model(tmp_path / "final.pt", made, **facts, loss=loss, blank=blank)
    read, found = load_acoustic_model(tmp_path / "final.pt")
    assert all(torch.equal(a, b) for a, b in zip(read.parameters(), made.parameters(), strict=True))
    assert (found["loss"], found["blank"], found["settings"]["cells"]) == (loss, blank, 3)


def test_a_model_that_was_trained_to_answer_late_is_used_in_time(tmp_path):
    settings, made = model("tdnn", TDNN | {"conv_maps": 0})
    facts = {"model": "tdnn", "settings": settings, "num_features": 10, "num_classes": 7}
    save_acoustic_model(tmp_path / "final.pt", made, **facts, loss="frame_ce", blank=None, label_delay=2)
    read, found = load_acoustic_model(tmp_path / "final.pt")
    assert found["label_delay"] == 2 and read.subsampling == made.subsampling == 3 and not read.training
    x = torch.randn(1, 13, 10)
    # Its last frame until the last answer has come: 5 outputs of 13 frames, and 2 more before them.
    late = made.eval()(torch.cat([x, x[:, -1:].expand(-1, 6, -1)], dim=1), torch.tensor([19]))[0]
    output, lens = read(x, torch.tensor([13]))
    assert lens.tolist() == [5]
    torch.testing.assert_close(output, late[:, 2:])
    # Beside a longer one, whatever its padding is.
    both = torch.cat([torch.cat([x, torch.full((1, 7, 10), 9.0)], dim=1), torch.randn(1, 20, 10)])
    output, lens = read(both, torch.tensor([13, 20]))
    assert lens.tolist() == [5, 7] and output.shape[1] == 7
    torch.testing.assert_close(output[0, :5], late[0, 2:])
