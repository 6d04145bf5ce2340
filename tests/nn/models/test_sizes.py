"""Parameters of models at the papers' sizes, against sums by hand; the ready configurations of recipes can be built."""

import itertools
from pathlib import Path

import pytest
import torch

from asrpar.config import load_config
from asrpar.nn.layers import LstmLayer
from asrpar.nn.models import MODELS, build_model
from asrpar.train.config import TrainConfig

REPO = Path(__file__).resolve().parents[3]
PAPERS = REPO / "egs/papers/models"


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def built(path, features, classes):
    config = load_config(TrainConfig, [str(path)], [])
    with torch.device("meta"):
        return build_model(config.model, MODELS.of(config), features, classes)


def lstm(inputs, cells, back):
    return 4 * cells * (inputs + back) + 8 * cells


def linear(*widths):
    return sum((a + 1) * b for a, b in itertools.pairwise(widths))


BLSTM = 2 * lstm(260, 512, 512) + 5 * 2 * lstm(1024, 512, 512)
CONVOLUTION = 128 * (11 * 9 + 1) + linear(1024, 512) + 2 * 512
# Two LSTMs with projections, and layer norm behind each.
LSTMP = 2 * (lstm(512, 1024, 512) + 1024 * 512 + 2 * 512)
SAK = lstm(40, 800, 512) + lstm(512, 800, 512) + 2 * 800 * 512
SIZES = {
    "cui2020_blstm": (260, 32000, 43_154_944, BLSTM + linear(1024, 256, 32000)),
    "li2017_dnn": (40, 3440, 7_126_384, linear(440, 1024, 1024, 1024, 1024, 3440)),
    "kaldi_nnet1_dnn": (40, 3480, 29_015_448, linear(440, *6 * [2048], 3480)),
    "li2017_cldnn": (40, 3440, None, CONVOLUTION + LSTMP + linear(512, 3440)),
    "sak2014_lstm": (40, 14247, None, SAK + linear(512, 14247)),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in PAPERS.glob("*.yaml")))
def test_sizes_of_papers(name):
    features, classes, published, by_hand = SIZES[name]
    found = parameters(built(PAPERS / f"{name}.yaml", features, classes))
    assert found == by_hand == (published or by_hand)
    assert f"| {classes:,} | {found:,} |" in (PAPERS / "README.md").read_text()


def test_parts_of_the_blstm():
    model = built(PAPERS / "cui2020_blstm.yaml", 260, 32000)
    assert parameters(model.layers) == 34_668_544
    assert (parameters(model.bottleneck), parameters(model.output)) == (262_400, 8_224_000)


def test_a_layer_with_projection():
    with torch.device("meta"):
        assert parameters(LstmLayer(512, 1024, 512)) == 4_726_784


@pytest.mark.parametrize("path", sorted(REPO.glob("egs/*/s5/conf/models/*.yaml")), ids=str)
def test_settings_of_recipes_can_be_built(path):
    model = built(path, 80, 40)
    named = type(model).__module__.rsplit(".", 1)[1]
    assert path.stem.startswith(named) or path.resolve().parent == PAPERS  # those are called after their papers
    assert parameters(model) > 1000
