"""Telephone corpora that something is wrong with: one line says what, where, and what to do; nothing is made."""

import os
import re
import shutil
import subprocess
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


def another_copy(tree: Path) -> None:
    """Another call under the name of one that is there."""
    shutil.copy(the(tree, "sw02017.sph"), tree / "LDC97S62/swb1_d4/data/sw02013.sph")


TRANS = "sw2013A-ms98-a-trans.text"
SWBD, HUB5, RT03 = ["swbd", "--set", "dev_size=8"], ["hub5"], ["rt03"]
BOTH = ["swbd", "--set", "dev_size=8", "--set", "size=swb2000"]
# What nobody can mend: refused.
REFUSED = {
    # Switchboard
    "no-discs": (SWBD, lambda t: shutil.rmtree(t / "LDC97S62"), r"does not hold all of swb300: no Sphere files"),
    "no-transcripts": (SWBD, lambda t: shutil.rmtree(t / "swb_ms98_transcriptions"), r"does not hold|-trans\.text"),
    "no-dictionary": (SWBD, lambda t: the(t, "sw-ms98-dict.text").unlink(), r"sw-ms98-dict\.text"),
    "rate": (SWBD, pcm_of_another_rate, r"sw02013\.(sph|wav).*16000 Hz|16000.*sw02013"),
    "one-channel": (SWBD, lambda t: sphere(the(t, "sw02013.sph"), channels=1), r"sw02013\.(sph|wav).*1 channel"),
    "call-twice": (SWBD, another_copy, r"sw02013"),
    "line-cut-short": (SWBD, lambda t: edit(the(t, TRANS), r"(\S+ \S+) .*", r"\1"), rf"{TRANS}:1: "),
    "no-number": (SWBD, lambda t: edit(the(t, TRANS), r" 0\.000000 ", " O.000000 "), rf"{TRANS}:1: "),
    "dev-too-large": (["swbd"], lambda t: None, r"dev_size"),
    "counts": (None, lambda t: None, r"counts are not those of .*--partial"),
    # Fisher
    "no-fisher": (BOTH, lambda t: [shutil.rmtree(t / f"LDC200{n}T19") for n in (4, 5)], r"Fisher|fe_03"),
    "fisher-line": (BOTH, lambda t: edit(the(t, "fe_03_00001.txt"), r" A: ", " C: "), r"fe_03_00001\.txt:\d+: "),
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
    "channel-3": (RT03, lambda t: edit(the(t, "fsh_*.stm"), r"^(fsh_\d+) 1 (fsh)", r"\1 3 \2"), r"fsh_\d+\.stm:\d+: "),
    "no-references": (RT03, lambda t: [p.unlink() for p in t.rglob("*.stm")], r"does not hold RT03"),
}
# What the real corpora have, too: left out, counted, and told.
TOLD = {
    "no-coding": (
        SWBD,
        lambda t: sphere(the(t, "sw02013.sph"), sample_coding=None),
        r"cannot be read: 1 .*sample_coding",
    ),
    "cut-audio": (SWBD, lambda t: cut(the(t, "sw02013.sph"), 50000), r"cannot be read: 1 .*sw02013\.sph is cut short"),
    "no-sphere": (SWBD, lambda t: replace(the(t, "sw02013.sph"), b"RIFF" * 300), r"cannot be read: 1 .*sw02013\.sph"),
    "end-before-start": (SWBD, lambda t: edit(the(t, TRANS), r" 0\.000000 \S+", " 9.0 8.0"), r"times cannot be: 1 "),
    "not-utf-8": (
        SWBD,
        lambda t: replace(the(t, TRANS), b"sw2013A-ms98-a-0001 0 1 yes\xe9\n"),
        r"left out: 1 \(yesé\)",
    ),
}


def prepare(tree: Path, tmp_path: Path, options: list, spoil: object) -> subprocess.CompletedProcess:
    corpus = shutil.copytree(tree, tmp_path / "corpus", copy_function=os.link)
    spoil(corpus)
    given = [*(options or SWBD), *(["--partial"] if options else [])]
    return asrpar("prepare-manifests", *given, "--corpus-dir", corpus, "--output", tmp_path / "out", check=False)


@pytest.mark.parametrize("name", REFUSED)
def test_one_line_says_what_is_wrong(tree, tmp_path, name):
    options, spoil, says = REFUSED[name]
    done = prepare(tree, tmp_path, options, spoil)
    error = [line for line in done.stderr.splitlines() if "error: " in line]
    assert done.returncode != 0 and len(error) == 1 and "Traceback" not in done.stderr, done.stderr
    assert re.search(says, error[0]), error[0]
    assert not list((tmp_path / "out").glob("cuts_*"))


@pytest.mark.parametrize("name", TOLD)
def test_what_is_left_out_is_counted_and_told(tree, tmp_path, name):
    options, spoil, says = TOLD[name]
    done = prepare(tree, tmp_path, options, spoil)
    assert done.returncode == 0, done.stderr
    assert re.search(says, (tmp_path / "out/report_swbd.txt").read_text(encoding="utf-8")), done.stderr
