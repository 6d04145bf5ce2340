"""The recipe of LibriSpeech, stage by stage, on a miniature of it; and copies of the corpus that are not right."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
import soundfile
from minidata import asrpar
from trees.librispeech import UNKNOWN, make_librispeech

pytestmark = [pytest.mark.slow, pytest.mark.mpi(turn=False), pytest.mark.xdist_group("egs_librispeech")]
ALONE = ["--learners", 1, "--strategy", "single"]
SETS = ("dev", "dev_other", "test", "test_other")
TINY = ["epochs=1", "autocast=none", "batch.size=2000"]
CONFORMER = ["width=16", "num_layers=1", "conv_maps=4", "kernel=7"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_librispeech(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Of an untrained model, which is slow to decode."""
    path = tmp_path_factory.mktemp("conf") / "decode.yaml"
    path.write_text("lm_scales: [1.0, 2.0]\nbeams: [6.0]\n")
    return path


@pytest.fixture(scope="module")
def run(tree, grid, tmp_path_factory, recipe):
    """``run(FIRST, LAST, OPTIONS...)``: those stages; the folder of the experiments is ``run.exp_dir``."""
    exp_dir = tmp_path_factory.mktemp("exp")

    def stages(first, last, *options, sets=(), **more):
        words = ["--corpus-dir", tree, "--lm-dir", tree / "librispeech_lm", "--partial", "true", "--exp-dir", exp_dir]
        words += ["--parts", "train-clean-100 train-other-500", "--stage", first, "--stop-stage", last, *ALONE]
        words += ["--decode-config", grid, *(w for s in (*TINY, *sets) for w in ("--set", s)), *options]
        return recipe("librispeech", *words, ranks=first <= 6 <= last, **more)

    stages.exp_dir, stages.data = exp_dir, exp_dir / "data"
    return stages


@pytest.fixture(scope="module")
def prepared(run):
    run(0, 3)
    return run.data


def test_stages_0_to_3(prepared):
    from lhotse import CutSet

    sizes = {s: len(CutSet.from_file(prepared / f"feats/cuts_{s}.jsonl.gz")) for s in ("train", *SETS)}
    assert sizes == {"train": 3 * 24, "dev": 4, "dev_other": 4, "test": 4, "test_other": 4}
    lang = prepared / "lang"
    words = {line.split()[0] for line in (lang / "lexicon.txt").read_text().splitlines()}
    # A word without pronunciation is <UNK>; one that training text lacks comes from the lexicon; stress is gone.
    assert UNKNOWN not in words and {"<UNK>", "MUSIC"} <= words
    tokens = {line.split()[0] for line in (lang / "tokens.txt").read_text().splitlines()}
    assert {"AH", "SPN"} <= tokens and "AH1" not in tokens
    arpa = gzip.decompress((run_tree(prepared) / "3-gram.pruned.3e-7.arpa.gz").read_bytes()).decode()
    assert (lang / "lm.arpa").read_text().splitlines()[1:3] == arpa.splitlines()[1:3]


def run_tree(data):
    """Where the settings of the language found its files."""
    from lhotse import RecordingSet

    audio = next(iter(RecordingSet.from_file(data / "manifests/recordings_dev.jsonl.gz"))).sources[0].source
    return Path(audio).parents[4] / "librispeech_lm"


def test_all_sets_are_decoded_and_rescored_with_the_large_model(run, prepared):
    run(5, 8, sets=[f"models.conformer.{s}" for s in CONFORMER])
    exp = run.exp_dir / "single_n1_seed0"
    for name in SETS:
        small, large = (json.loads((exp / f"decode_{name}{s}/wer.json").read_text()) for s in ("", "_rescored"))
        assert small["sentences"] == large["sentences"] == 4
        assert small["chosen_on"] == large["chosen_on"] == "dev"
    facts = json.loads((exp / "decode_test_rescored/decode.json").read_text())
    assert "librispeech_lm/4-gram.arpa.gz --dev dev " in facts["command"]


def test_pieces_of_words(repo, tree, run, prepared):
    done = run(3, 3, "--units", "sentencepiece", check=False)
    assert "vocab_size: 500 does not suit the text" in done.stderr  # which is a few sentences
    conf, lang = repo / "egs/librispeech/s5/conf", prepared / "lang_sentencepiece"
    asrpar(
        *("prepare-lang", "--config", conf / "lang.yaml", "--config", conf / "units/sentencepiece.yaml"),
        *("--set", "unit_settings.sentencepiece.vocab_size=40", "--corpus-dir", tree / "librispeech_lm"),
        *("--manifests", prepared / "manifests", "--output", lang),
    )
    run(5, 5, "--units", "sentencepiece")
    assert (lang / "sentencepiece.model").exists() and (prepared / "graph_sentencepiece/HLG.fst").exists()
    assert "WEATHER" in {line.split()[0] for line in (lang / "words.txt").read_text().splitlines()}


def test_a_language_model_of_ones_own(run, prepared):
    run(3, 3, "--lm", "own")
    assert "\\3-grams:" in (prepared / "lang_own/lm.arpa").read_text()


def test_hybrid_model_of_li_2017(run, prepared):
    hybrid = ["--loss", "frame_ce", "--model", "li2017_dnn", "--config", "conf/train_li2017.yaml", "--tree", "mono"]
    sets = ["models.dnn.width=16", "models.dnn.num_layers=1", "warm_start_epochs=0"]
    run(4, 8, *hybrid, "--eval-parts", "dev-other test-other", "--rescore-lm", "none", sets=sets)
    exp = run.exp_dir / "li2017_dnn_frame_ce_mono_single_n1_seed0"
    facts = json.loads((exp / "decode_test_other/decode.json").read_text())
    assert facts["chosen_on"] == "dev_other" and facts["prior_scale"] == 1.0
    assert not list(exp.glob("decode_*rescored"))


# ---- what is not right


def spoil_no_audio(tree):
    next(tree.rglob("train-clean-100/**/*.flac")).unlink()


def spoil_no_transcript(tree):
    next(tree.rglob("dev-clean/**/*.trans.txt")).unlink()


def spoil_unlisted(tree):
    flac = next(tree.rglob("dev-clean/**/*.flac"))
    shutil.copy(flac, flac.with_name(flac.name.replace("-000", "-900")))


def spoil_twice(tree):
    path = next(tree.rglob("test-clean/**/*.trans.txt"))
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")


def spoil_text(tree):
    path = next(tree.rglob("test-other/**/*.trans.txt"))
    path.write_text(path.read_text().replace(" THE ", " 3 ").replace(" A ", " 3 ").replace(" I ", " 3 "))


def spoil_empty(tree):
    path = next(tree.rglob("dev-other/**/*.trans.txt"))
    path.write_text(path.read_text() + path.stem.removesuffix(".trans") + "-0009 \n")


def spoil_rate(tree):
    flac = next(tree.rglob("train-other-500/**/*.flac"))
    samples, _ = soundfile.read(flac, dtype="int16")
    soundfile.write(flac, samples[::2], 8000)


def spoil_damaged(tree):
    flac = next(tree.rglob("train-other-500/**/*.flac"))
    flac.write_bytes(b"<html>not found</html>")


def spoil_part(tree):
    shutil.rmtree(tree / "LibriSpeech/test-other")


BAD = {
    spoil_no_audio: "train-clean-100: 1 of 16 utterances have no audio; the first: ",
    spoil_no_transcript: "dev-clean has no transcripts (*.trans.txt)",
    spoil_unlisted: "dev-clean: 1 flac files have no transcript; the first: ",
    spoil_twice: ".trans.txt:5: 54-100-0000 has a transcript already",
    spoil_text: "unexpected word '3'",
    spoil_empty: "the transcript is empty",
    spoil_rate: "1 of 24 recordings are not 16000 Hz mono; the first is ",
    spoil_damaged: ".flac is not readable as audio",
    spoil_part: "has no folder test-other; it has train-clean-100",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda f: f.__name__)
def test_bad_copies_give_one_line(tree, tmp_path, spoil):
    shutil.copytree(tree / "LibriSpeech", tmp_path / "LibriSpeech")
    spoil(tmp_path)
    parts = ("train-clean-100", "train-other-500", "dev-clean", "dev-other", "test-clean", "test-other")
    done = asrpar(
        *("prepare-manifests", "librispeech", "--corpus-dir", tmp_path, "--output", tmp_path / "m", "--partial"),
        *(word for part in parts for word in ("--part", part)),
        check=False,
    )
    assert done.returncode == 1 and BAD[spoil] in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1 and not list((tmp_path / "m").glob("*.gz"))


def test_parts_that_lack_utterances_are_named(run):
    done = run(1, 1, "--partial", "false", check=False)
    line = done.stderr.splitlines()[-1]
    assert "utterances of train-clean-100: 16 instead of 28,539 (28,523 too few)" in line and "--partial" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "train-clean-10"], "librispeech has no part 'train-clean-10'; did you mean 'train-clean-100'"),
        (["--eval-parts", "test-clean"], "--eval-parts test-clean: the first one must be dev-clean or dev-other"),
        (["--lm-dir", "/nowhere"], "--corpus-dir /nowhere: no such folder"),
        (["--units", "words"], "conf/units/words.yaml (settings of the units) is missing"),
    ],
)
def test_options_that_cannot_be(run, options, message):
    done = run(0, 1, *options, check=False)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "keep", "message"),
    [
        ("librispeech-lexicon.txt", None, "unit_settings.phones.lexicon: no file "),
        ("3-gram.pruned.3e-7.arpa.gz", 900, "3-gram.pruned.3e-7.arpa.gz: damaged gzip file"),
    ],
)
def test_bad_language_folders_give_one_line(tree, run, prepared, tmp_path, file, keep, message):
    folder = shutil.copytree(tree / "librispeech_lm", tmp_path / "lm")
    content = (folder / file).read_bytes()
    (folder / file).unlink() if keep is None else (folder / file).write_bytes(content[:keep])
    done = run(3, 3, "--lm-dir", folder, check=False)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 2  # the stage, and what is wrong
