"""A small corpus of noise with features, language and graph, and untrained models of it: for tests of decoding."""

import numpy as np
import soundfile
import torch
from click.testing import CliRunner
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment, SupervisionSet

from asrpar.cli import cli
from asrpar.feats.config import FeatureConfig
from asrpar.feats.extract import extract_features
from asrpar.graph.config import GraphConfig
from asrpar.graph.make import make_graph
from asrpar.lang.config import LangConfig, LmConfig
from asrpar.lm.prepare import prepare_lang
from asrpar.nn.models import build_model
from asrpar.nn.models.tdnn import Settings
from asrpar.train.model_io import save_acoustic_model

TEXTS = ["YES NO", "NO NO YES", "YES", "NO YES YES NO"]
RATE = 8000
SMALL = ["--set", "lm_scales=[0.5,1.0]", "--set", "beams=[8.0]", "--jobs", "1"]


def write_manifests(folder, split, count):
    rng = np.random.default_rng(len(split))
    cuts, supervisions = [], []
    for i in range(count):
        name = f"spk{i % 2}-{split}{i}"
        audio = 0.3 * np.sin(np.cumsum(rng.uniform(0.1, 1.0, size=5000 + 700 * i)))
        soundfile.write(folder / f"{name}.wav", audio, RATE)
        recording = Recording.from_file(folder / f"{name}.wav", recording_id=name)
        text = TEXTS[i % len(TEXTS)]
        supervision = SupervisionSegment(name, name, 0, recording.duration, text=text, speaker=name.split("-")[0])
        supervisions.append(supervision)
        cuts.append(MonoCut(name, 0, recording.duration, 0, [supervision], recording=recording))
    CutSet.from_cuts(cuts).to_file(folder / f"cuts_{split}.jsonl.gz")
    SupervisionSet.from_segments(supervisions).to_file(folder / f"supervisions_{split}.jsonl.gz")


def prepare_data(root):
    """Folder with manifests, feats, lang (phones), chars (characters), graph."""
    (root / "manifests").mkdir()
    for split, count in (("train", 6), ("dev", 4), ("test", 5)):
        write_manifests(root / "manifests", split, count)
    extract_features(
        FeatureConfig(fbank={"num_filters": 16}, speeds=[1.0]),
        root / "manifests",
        root / "feats",
        ["train", "dev", "test"],
    )
    (root / "lexicon.txt").write_text("YES Y EH S\nNO N OW\n")
    config = LangConfig(unit_settings={"phones": {"lexicon": str(root / "lexicon.txt")}}, lm=LmConfig(order=2))
    prepare_lang(config, root / "manifests", root / "lang")
    make_graph(GraphConfig(), root / "lang", root / "graph")
    config.units = "characters"
    prepare_lang(config, root / "manifests", root / "chars")
    return root


def save_model(exp, classes, identity=None, **facts):
    """An experiment with nothing but a model of random weights."""
    exp.mkdir()
    torch.manual_seed(3)
    settings = Settings(channels=16, dilations=[1])
    module = build_model("tdnn", settings, 16, classes)
    facts |= {"model": "tdnn", "settings": settings, "num_features": 16, "num_classes": classes}
    save_acoustic_model(exp / "final.pt", module, **facts, identity=identity)
    return exp


def run(*args):
    """The output of a command line in this process; its error is raised."""
    result = CliRunner().invoke(cli, [str(a) for a in args])
    if result.exception:
        raise result.exception
    return result.output
