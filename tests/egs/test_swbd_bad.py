"""Telephone corpora that something is wrong with: one line says what, where, and what to do; nothing is made."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from minidata import asrpar
from trees.fisher import make_fisher
from trees.hub5 import make_hub5, make_rt03
from trees.sphere import header, write_sphere
from trees.swbd import make_swbd

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("telephone")
    for make in (make_swbd, make_fisher, make_hub5, make_rt03):
        make(folder)
    return folder


def the(tree: Path, pattern: str) -> Path:
    """The first file of that name."""
    return min(tree.rglob(pattern))


def edit(path: Path, pattern: str, new: str, count: int = 1) -> None:
    """Replace text in a copy of a file: the trees share their files."""
    text, found = re.subn(pattern, new, path.read_text(encoding="utf-8"), count=count, flags=re.MULTILINE)
    assert found, pattern
    replace(path, text.encode())


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def sphere(path: Path, seconds: float = 30, channels: int = 2, **fields: object) -> None:
    path.unlink()
    hiss = np.random.default_rng(0).standard_normal((channels, int(8000 * seconds))).astype(np.float32) * 0.01
    write_sphere(path, hiss, **fields)


def cut(path: Path, size: int) -> None:
    replace(path, path.read_bytes()[:size])


def pcm_of_another_rate(tree: Path) -> None:
    path = the(tree, "sw02013.sph")
    fields = {"channel_count": 2, "sample_count": 160000, "sample_rate": 16000, "sample_n_bytes": 2}
    replace(path, header({**fields, "sample_byte_format": "01", "sample_coding": "pcm"}) + bytes(640000))


TRANS = "sw2013A-ms98-a-trans.text"
SWBD, HUB5, RT03 = ["swbd", "--set", "dev_size=8"], ["hub5"], ["rt03"]
BOTH = ["swbd", "--set", "dev_size=8", "--set", "size=swb2000"]
CASES = {
    # Switchboard
    "no-discs": (SWBD, lambda t: shutil.rmtree(t / "LDC97S62"), r"does not hold .*Switchboard"),
    "no-transcripts": (SWBD, lambda t: shutil.rmtree(t / "swb_ms98_transcriptions"), r"does not hold|-trans\.text"),
    "no-dictionary": (SWBD, lambda t: the(t, "sw-ms98-dict.text").unlink(), r"sw-ms98-dict\.text"),
    "no-coding": (SWBD, lambda t: sphere(the(t, "sw02013.sph"), sample_coding=None), r"sw02013\.sph.*sample_coding"),
    "rate": (SWBD, pcm_of_another_rate, r"sw02013\.(sph|wav).*16000 Hz|16000.*sw02013"),
    "one-channel": (SWBD, lambda t: sphere(the(t, "sw02013.sph"), channels=1), r"sw02013\.(sph|wav).*1 channel"),
    "cut-audio": (SWBD, lambda t: cut(the(t, "sw02013.sph"), 50000), r"sw02013\.sph"),
    "no-sphere": (SWBD, lambda t: replace(the(t, "sw02013.sph"), b"RIFF" * 300), r"sw02013\.sph"),
    "call-twice": (
        SWBD,
        lambda t: shutil.copy(the(t, "sw02017.sph"), t / "LDC97S62/swb1_d4/data/sw02013.sph"),
        r"sw02013",
    ),
    "line-cut-short": (SWBD, lambda t: edit(the(t, TRANS), r"(\S+ \S+) .*", r"\1"), rf"{TRANS}:1: "),
    "no-number": (SWBD, lambda t: edit(the(t, TRANS), r" 0\.000000 ", " O.000000 "), rf"{TRANS}:1: "),
    "end-before-start": (SWBD, lambda t: edit(the(t, TRANS), r" 0\.000000 \S+", " 9.0 8.0"), rf"{TRANS}:1: "),
    "id-twice": (SWBD, lambda t: edit(the(t, TRANS), r"^(\S+)( .*\n)\S+", r"\1\2\1"), rf"{TRANS}:2: "),
    "not-utf-8": (SWBD, lambda t: replace(the(t, TRANS), b"sw2013A-ms98-a-0001 0 1 \xe9\n"), rf"{TRANS}"),
    "brackets": (
        SWBD,
        lambda t: edit(the(t, TRANS), r"\[laughter-(\w+)\]", r"[laughter-\1"),
        rf"{TRANS}:1: .*\[laughter-",
    ),
    "dev-too-large": (["swbd"], lambda t: None, r"dev_size"),
    "counts": (None, lambda t: None, r"counts are not those of .*--partial"),
    # Fisher
    "no-part-2": (BOTH, lambda t: shutil.rmtree(t / "LDC2005T19"), r"Fisher"),
    "fisher-line": (BOTH, lambda t: edit(the(t, "fe_03_00001.txt"), r" A: ", " C: "), r"fe_03_00001\.txt:\d+: "),
    "fisher-audio": (BOTH, lambda t: cut(the(t, "fe_03_00002.sph"), 9000), r"fe_03_00002"),
    "fisher-calldata": (
        BOTH,
        lambda t: edit(the(t, "fe_03_p1_calldata.tbl"), r"^00001,.*", "00001,x"),
        r"fe_03_p1_calldata\.tbl:2: ",
    ),
    # Hub5'00 and RT03
    "other-segments": (HUB5, lambda t: edit(the(t, "hub5e_00.pem"), r"^sw_4390 A .*\n", ""), r"\.pem.*\.stm"),
    "no-glm": (HUB5, lambda t: the(t, "en20000405_hub5.glm").unlink(), r"en20000405_hub5\.glm"),
    "hub5-no-audio": (HUB5, lambda t: the(t, "sw_4390.sph").unlink(), r"conversations have no audio.*sw_4390"),
    "stm-line": (HUB5, lambda t: edit(the(t, "hub5e00*.stm"), r"^(sw_4390 A) .*", r"\1 x"), r"\.stm:\d+: "),
    "hub5-short-audio": (HUB5, lambda t: sphere(the(t, "sw_4390.sph"), seconds=1), r"sw_4390"),
    "channel-3": (RT03, lambda t: edit(the(t, "fsh_*.stm"), r"^(fsh_\d+) 1 ", r"\1 3 "), r"fsh_\d+\.stm:\d+: .*3"),
    "no-references": (RT03, lambda t: [p.unlink() for p in t.rglob("*.stm")], r"does not hold RT03"),
}


@pytest.mark.parametrize("name", CASES)
def test_one_line_says_what_is_wrong(tree, tmp_path, name):
    options, spoil, says = CASES[name]
    corpus = shutil.copytree(tree, tmp_path / "corpus", copy_function=os.link)
    spoil(corpus)
    given = [*(options or SWBD), *(["--partial"] if options else [])]
    done = asrpar("prepare-manifests", *given, "--corpus-dir", corpus, "--output", tmp_path / "out", check=False)
    error = [line for line in done.stderr.splitlines() if "error: " in line]
    assert done.returncode != 0 and len(error) == 1 and "Traceback" not in done.stderr, done.stderr
    assert re.search(says, error[0]), error[0]
    assert not list((tmp_path / "out").glob("cuts_*"))
