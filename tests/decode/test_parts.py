"""Stage 7 in parts, against a decoding at once."""

import json
import shutil

import pytest
from click.testing import CliRunner
from decoding import SMALL, run

from asrpar.cli import cli
from asrpar.errors import AsrparError

FILES = ("hyp.trn", "ref.trn", "times.ctm")
# Batches of one or two utterances, so that parts have some.
SHARED = [*SMALL, "--set", "max_frames=200", "--jobs", 1]


@pytest.mark.parametrize("more", [[], ["--set", "lattices=true", "--set", "lattice_beam=4"]], ids=["words", "lattices"])
def test_parts_together_are_the_same_words(exp, data, more):
    arguments = ["decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", *SHARED, *more]
    run(*arguments)
    folder = exp / "decode_test"
    files = [*FILES, "lat.gz"] if more else FILES
    at_once, told = [(folder / name).read_bytes() for name in files], json.loads((folder / "decode.json").read_text())
    shutil.rmtree(folder)
    alone = [*arguments, "--dev", "", "--parts", 3]
    for part in (3, 1):
        run(*alone, "--part", part)
    assert not folder.exists()
    with pytest.raises(
        AsrparError, match=r"part 2 of 3 of decode_test is missing .*run it again \(--part 2 --parts 3\)"
    ):
        run(*alone)
    run(*alone, "--part", 2)
    if not more:
        with pytest.raises(AsrparError, match=r"part 1 of 3 of decode_test was decoded with another lm_scale \("):
            run(*alone, "--set", "lm_scales=[0.77]")
    run(*alone)
    assert [(folder / name).read_bytes() for name in files] == at_once
    assert sorted(path.name for path in folder.iterdir()) == sorted([*files, "decode.json"])
    again = json.loads((folder / "decode.json").read_text())
    same = ["utterances", "partial", "empty", "audio_seconds", "lm_scale", "beam", "chosen_on", "engine", "cuts_sha256"]
    same += ["lattices"] if more else []
    assert {k: again[k] for k in same} == {k: told[k] for k in same}
    assert not (exp / ".decode_test.parts").exists()


def test_parts_need_a_choice_and_a_number(exp, data):
    arguments = ["decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", *SHARED]
    for options, says in (
        (["--parts", 2], "decode that first, then give --dev"),
        (["--dev", "", "--part", 2], "give --parts N with it, of at least 2"),
        (["--dev", "", "--part", 3, "--parts", 2], "give --parts N with it, of at least 3"),
    ):
        done = CliRunner().invoke(cli, [str(word) for word in (*arguments, *options)])
        assert done.exit_code == 2 and says in done.output
