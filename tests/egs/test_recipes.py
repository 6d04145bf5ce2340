"""All recipes: their form; and those for real corpora, on real speech with a small budget."""

import json
import shutil
from pathlib import Path

import pytest

CORPORA = sorted(path.parts[-3] for path in Path(__file__).resolve().parents[2].glob("egs/*/s5/run.sh"))
OPTIONS = [
    "stage",
    "stop-stage",
    "corpus-dir",
    "exp-dir",
    "data-dir",
    "model",
    "loss",
    "tree",
    "units",
    "lm",
    "strategy",
    "learners",
    "name",
]
OPTIONS += ["config", "decode-config", "set"]
# A few small steps: these tests are about the stages, RESULTS.md is about the figures.
TINY = [f"models.{m}.{s}" for m in ("tdnn", "cldnn") for s in ("channels=16", "conv_maps=4", "dilations=[1]")]
SETTINGS = ("epochs=1", *TINY, "autocast=none")
BUDGET = [word for setting in SETTINGS for word in ("--set", setting)]
SMALL = ["--set", "models.cldnn.cells=16"]
CMUDICT = ["--cmudict", "cmudict/cmudict.dict"]
# Of the six whose speech may lie here.
SPEAKERS = {"train-clean-5": ("19", "226")}
STAGES = [
    pytest.param("yesno", {"train": 24, "dev": 6, "test": 30}, [], id="yesno"),
    pytest.param("an4", {"train": 848, "dev": 100, "test": 130}, SMALL, id="an4"),
    pytest.param("mini_librispeech", {"train": 73, "dev": 20, "test": 26}, CMUDICT, id="mini_ls"),
]


@pytest.mark.parametrize("corpus", CORPORA)
def test_form(repo, recipe, corpus):
    folder = repo / "egs" / corpus / "s5"
    for name in ("run.sh", "RESULTS.md", "conf/train.yaml", "conf/feats.yaml", "conf/lang.yaml"):
        assert (folder / name).is_file(), name
    assert len((folder / "run.sh").read_text().splitlines()) <= 100
    shown = recipe(corpus, "--help").stdout
    assert all(f"--{option}" in shown for option in OPTIONS)
    if "--corpus-dir is needed" in (folder / "run.sh").read_text():
        assert "empty: download it" not in shown.split("--corpus-dir")[1].splitlines()[0]


@pytest.mark.parametrize("corpus", CORPORA)
def test_settings_are_valid(repo, corpus):
    from asrpar.config import load_config
    from asrpar.decode.config import DecodeConfig
    from asrpar.feats.config import FeatureConfig
    from asrpar.hmm.config import TreeConfig
    from asrpar.lang.config import LangConfig
    from asrpar.nn.losses import LOSSES
    from asrpar.nn.models import MODELS
    from asrpar.parallel.strategies import STRATEGIES
    from asrpar.train.config import TrainConfig

    conf = repo / "egs" / corpus / "s5" / "conf"
    load_config(FeatureConfig, conf / "feats.yaml").validate()
    load_config(DecodeConfig, conf / "decode.yaml").validate()
    for file in [*conf.glob("models/*.yaml"), *conf.glob("losses/*.yaml")]:
        config = load_config(TrainConfig, [conf / "train.yaml", file])
        assert {"models": "model: ", "losses": "loss: "}[file.parent.name] in file.read_text(), (
            "it does not say what it is for"
        )
        MODELS.of(config), LOSSES.of(config)
    for file in conf.glob("trees/*.yaml"):
        load_config(TreeConfig, file).validate()
    given = ["lm.texts=[text.gz]"] if "transcripts: false" in (conf / "lang.yaml").read_text() else []  # by run.sh
    for file in [*conf.glob("lang_*.yaml"), *conf.glob("units/*.yaml")]:
        load_config(LangConfig, [conf / "lang.yaml", file], given).validate()
    for strategy in ("single", "ssgd", "bmuf"):
        extra = [path for path in [conf / f"strategies/{strategy}.yaml"] if path.exists()]
        STRATEGIES.of(load_config(TrainConfig, [conf / "train.yaml", *extra], [f"strategy={strategy}"]))


def some_speakers(corpus: Path, folder: Path) -> Path:
    """LibriSpeech as it is unpacked, but for speakers that are not `SPEAKERS` of their part."""
    root = folder / "LibriSpeech"
    for entry in (corpus / "LibriSpeech").iterdir():
        place = root / entry.name
        root.mkdir(parents=True, exist_ok=True)
        # Who looks for speakers follows no links.
        place.mkdir() if entry.name in SPEAKERS else place.symlink_to(entry)
        for speaker in SPEAKERS.get(entry.name, ()):
            shutil.copytree(entry / speaker, place / speaker)
    return folder


@pytest.mark.corpora
@pytest.mark.mpi(turn=False)
@pytest.mark.slow
@pytest.mark.parametrize(("corpus", "sizes", "extra"), STAGES)
def test_real_corpus_from_end_to_end(corpora, recipe, tmp_path, corpus, sizes, extra):
    # A model that has learnt next to nothing is slow to decode.
    grid = tmp_path / "decode.yaml"
    grid.write_text("lm_scales: [1.0]\nblank_penalties: [0, 3]\nbeams: [5.0]\n")
    place = some_speakers(corpora / corpus, tmp_path / "corpus") if "librispeech" in corpus else corpora / corpus
    options = ["--corpus-dir", place, "--exp-dir", tmp_path, "--decode-config", grid, *BUDGET]
    options += [corpora / option if option == CMUDICT[1] else option for option in extra]
    recipe(corpus, *options, "--stop-stage", 5)
    recipe(corpus, *options, "--stage", 6, "--stop-stage", 6, ranks=True)
    done = recipe(corpus, *options, "--stage", 7)
    data, exp = tmp_path / "data", tmp_path / "ssgd_n2_seed0"
    from lhotse import CutSet

    assert {s: len(CutSet.from_file(data / "manifests" / f"cuts_{s}.jsonl.gz")) for s in sizes} == sizes
    assert (data / "feats" / "stats.pt").exists()
    assert (data / "lang" / "lm.arpa").exists()
    assert (data / "graph" / "HLG.pt").exists()
    assert (exp / "final.pt").exists()
    result = json.loads((exp / "decode_test" / "wer.json").read_text())
    assert result["sentences"] == sizes["test"]
    assert result["chosen_on"] == "dev"
    assert str(exp / "decode_test") in done.stderr
