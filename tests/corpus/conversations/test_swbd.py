import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from telephone import make_fisher, make_switchboard
from trees.sphere import write_sphere

from asrpar.cli import cli
from asrpar.corpus.audio.samples import load_samples
from asrpar.corpus.conversations import swbd
from asrpar.corpus.conversations.calls import Turn
from asrpar.corpus.conversations.manifests import utterance_id
from asrpar.corpus.corpora.swbd import Settings
from asrpar.corpus.counts import Count
from asrpar.corpus.manifests import make_cuts
from asrpar.errors import AsrparError, DataError

CALLS = {
    "2001": {
        "A": "0.000000 0.977625 [silence]\n0.977625 2.561375 so [laughter-yeah] th[at]- i think\n3 4 [noise]-",
        "B": "0.5 1.0 yeah\n2 3 I B M <b_aside> yeah <e_aside>\n4 5 AT&T\n5 7.5 so so",
    },
    "2167": {"A": "0.5 1.0 yeah\n2 3 weirdly", "B": "0.1 0.5 yeah"},
    "4940": {"A": "0.5 1.0 yeah\n2 3 i think", "B": "0.1 0.5 yeah\n1.0 1.0 yeah"},
}
FISHER = {
    "00001": "0.5 1.239 A: an- so [laugh]\n1.5 2.5 B: (( i think ))\n3 4 B: yes [mn]\n3 4 B: yes\n4.5 5 A: ",
    "00446": "0.5 1.5 A: yeah",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_fisher(make_switchboard(tmp_path_factory.mktemp("corpus"), CALLS), FISHER)


def asrpar(*args: object) -> None:
    found = CliRunner().invoke(cli, [str(a) for a in args], catch_exceptions=False)
    assert found.exit_code == 0, found.output


def prepare(tree: Path, output: Path, partial: bool = True, **settings):
    return swbd.prepare_swbd(tree, output, Settings(**{"dev_size": 1, **settings}), partial)


def test_utterances_of_switchboard(tree: Path, tmp_path: Path):
    splits = prepare(tree, tmp_path, dev="first")
    texts = {u.id: (u.channel, u.text) for split in splits.values() for u in split.supervisions}
    assert texts == {
        "sw02001-A_000098-000256": (0, "so yeah th- i think"),
        "sw02001-A_000300-000400": (0, "[noise]"),
        "sw02001-B_000050-000100": (1, "yeah"),
        "sw02001-B_000200-000300": (1, "i._b._m. yeah"),
        "sw02001-B_000400-000500": (1, "a._t. and t."),
        "sw02167-A_000050-000100": (0, "yeah"),
        "sw02167-A_000200-000300": (0, "weirdly"),
        "sw04940-A_000050-000100": (0, "yeah"),
        "sw04940-A_000200-000300": (0, "i think"),
        "sw04940-B_000010-000050": (1, "yeah"),
    }
    report = (tmp_path / swbd.REPORT).read_text()
    for line in (
        "utterances dropped, without words (silence): 1 (sw02001-A_000000-000098)",
        "utterances dropped, which end behind their recording: 1 (sw02001-B 5-7.5)",
        "sides of Switchboard left out, known to be nearly empty: 1 (sw02167-B)",
        "utterances dropped, whose times cannot be: 1 (sw04940-B 1-1)",
    ):
        assert f"{line}\n" in report


def test_each_side_is_heard_on_its_channel(tree: Path, tmp_path: Path):
    split = prepare(tree, tmp_path)["train"]
    loud = {cut.channel: float(np.std(load_samples(cut))) for cut in make_cuts(split)}
    assert loud[0] == pytest.approx(0.02, rel=0.1) and loud[1] == pytest.approx(0.08, rel=0.1)


def test_with_fisher(tree: Path, tmp_path: Path):
    splits = prepare(tree, tmp_path, size="swb2000")
    fisher = {u.id: u.text for u in splits["train"].supervisions if u.id.startswith("fe")}
    assert fisher == {"fe_03_00001-A-000050-000123": "an- so [laughter]", "fe_03_00001-B-000300-000400": "yes [noise]"}
    assert all(u.id.startswith("sw") for u in splits["dev"].supervisions)
    report = (tmp_path / swbd.REPORT).read_text()
    assert "of doubtful words, as in (( )): 1 (fe_03_00001-B-000150-000250)" in report
    assert "of the same times as another: 1 (fe_03_00001-B-000300-000400)" in report
    assert "whose audio is known to be damaged: 1 (fe_03_00446)" in report


def test_the_cap_and_noises_are_chosen_by_settings(tree: Path, tmp_path: Path):
    train = prepare(tree, tmp_path, max_copies=1, spoken_only=True)["train"]
    assert sum(u.text == "yeah" for u in train.supervisions) == 1
    assert not any(u.text == "[noise]" for u in train.supervisions)
    assert "beyond 1 of the same text: 2 (2 of yeah)" in (tmp_path / swbd.REPORT).read_text()


@pytest.mark.parametrize("exchanged", [False, True])
def test_the_call_that_may_have_exchanged_sides_is_listened_to(tmp_path: Path, exchanged: bool):
    lines = {"A": "1 2 yeah so\n2 6 [silence]", "B": "3 5 weirdly\n5 5.5 yeah"}
    make_switchboard(tmp_path, {"2671": lines})
    sides = np.random.default_rng(1).normal(0, 0.002, (2, 48000)).astype(np.float32)
    for channel, begin, end in ((0, 1, 2), (1, 3, 5.5)):
        sides[channel, int(8000 * begin) : int(8000 * end)] *= 50
    write_sphere(tmp_path / "swb1_d1/data/sw02671.sph", sides[::-1] if exchanged else sides)
    splits = prepare(tmp_path, tmp_path, dev="first")
    texts = {u.text: u.channel for split in splits.values() for u in split.supervisions}
    assert texts == {"yeah so": int(exchanged), "weirdly": 1 - exchanged, "yeah": 1 - exchanged}
    report = (tmp_path / swbd.REPORT).read_text()
    assert ("put right: 1 (sw02671, -3" if exchanged else "which is not so here: 1 (sw02671, +3") in report


@pytest.mark.parametrize(
    ("recording", "side", "speaker", "times", "expected"),
    [
        ("sw02001", "A", "sw02001-A", (0.977625, 11.561375), "sw02001-A_000098-001156"),
        ("sw02001", "A", "sw1020", (0.977625, 11.561375), "sw1020-02001-A_000098-001156"),
        ("fe_03_00001", "A", "fe_03_00001-A", (7.389, 8.78), "fe_03_00001-A-000738-000878"),
        ("fe_03_00001", "B", "fe_03_12345m", (7.38, 4.35), "fe_03_12345m-00001-B-000738-000435"),
    ],
)
def test_ids(recording, side, speaker, times, expected):
    assert utterance_id(recording, side, speaker, Turn(*times, "")) == expected


def test_calls_that_cannot_be_read_are_warned_of_and_refused_where_no_other_is_left(tmp_path: Path, caplog):
    make_switchboard(tmp_path, {number: CALLS[number] for number in ("2001", "4940")})
    (tmp_path / "swb1_d1/data/sw04940.sph").unlink()
    (tmp_path / "swb1_d1/data/sw02001.sph").write_bytes(b"NIST_1A\n   1024\n")
    with pytest.raises(DataError, match=r"no call of Switchboard can be used: .*sw02001\.sph"):
        prepare(tmp_path, tmp_path)
    write_sphere(tmp_path / "swb1_d1/data/sw04940.sph", np.zeros((2, 48000), np.float32))
    with caplog.at_level("WARNING"):
        prepare(tmp_path, tmp_path)
    assert [r.message[:50] for r in caplog.records] == ["calls of Switchboard whose audio cannot be read: 1"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("prepare-manifests", "an4", "--set", "dev_size=5"), "an4 has no settings: leave --config and --set away"),
        (("prepare-manifests", "swbd", "--set", "size=swb20"), "size 'swb20' is unknown; did you mean 'swb2000'"),
        (("prepare-manifests", "swbd", "--set", "devsize=5"), "key 'devsize' is unknown; did you mean 'dev_size'"),
        (("prepare-dict", "an4", "--manifests", "m"), "an4 brings no dictionary and no text of its own; .*swbd"),
        (("prepare-dict", "swbd", "--manifests", "m"), "supervisions_dev.jsonl.gz is missing: stage 1"),
    ],
)
def test_settings_and_dictionaries_that_there_are_not(tree: Path, tmp_path: Path, command, message):
    done = CliRunner().invoke(cli, [*command, "--corpus-dir", str(tree), "--output", str(tmp_path / "out")])
    assert isinstance(done.exception, AsrparError)
    assert re.search(message, str(done.exception))


def test_a_part_has_to_be_called_one(tree: Path, tmp_path: Path):
    with pytest.raises(DataError) as e:
        prepare(tree, tmp_path, partial=False, size="swb2000")
    for told in (
        *("4 of 4 counts", "Sphere files of Switchboard: 3 instead of 2,435 or 2,438 (2,432 too few)"),
        *("Sphere files of Fisher: 2 instead of 11,699 (11,697 too few)", "--partial"),
    ):
        assert told in str(e.value)


def test_utterances_and_hours_are_counted_too(tree: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(swbd, "_counts_of_files", lambda found, whole: [Count("files", 3, 3)])
    with pytest.raises(
        DataError, match=r"utterances of Switchboard with words: 9 instead of 249,536 \(249,527 too few"
    ):
        prepare(tree, tmp_path, partial=False)
    monkeypatch.setattr(swbd, "_counts_of_switchboard", lambda split, found: [])
    with pytest.raises(DataError, match=r"hours of Fisher: 0\.00 instead of 1,761 \(1,761\.00 too few\)"):
        prepare(tree, tmp_path, partial=False, size="swb2000")


def test_commands_from_corpus_to_features_and_lexicon(tree: Path, tmp_path: Path):
    manifests, local = tmp_path / "manifests", tmp_path / "local"
    common = ("--corpus-dir", tree, "--set", "size=swb2000", "--set", "dev_size=2")
    asrpar("prepare-manifests", "swbd", *common, "--partial", "--output", manifests)
    dev = [
        json.loads(line)
        for line in gzip.decompress((manifests / "supervisions_dev.jsonl.gz").read_bytes()).splitlines()
    ]
    asrpar("prepare-dict", "swbd", *common, "--manifests", manifests, "--output", local)
    texts = {
        path.name: gzip.decompress(path.read_bytes()).decode().split("\n") for path in (local / "lm_text").iterdir()
    }
    assert sorted(texts) == ["fisher.txt.gz", "heldout.txt.gz", "swbd.txt.gz"]
    assert texts["fisher.txt.gz"] == ["an- so [laughter]", "i think", "yes [noise]", "yes", ""]
    assert texts["heldout.txt.gz"][:-1] == [u["text"] for u in dev]
    assert len({(u["recording_id"], u["channel"]) for u in dev}) == 1 and len(texts["swbd.txt.gz"]) < 12
    features = ("--set", "fbank.num_filters=23", "--splits", "train,dev", "--jobs", 1)
    asrpar("extract-features", "--manifests", manifests, "--output", tmp_path / "feats", *features)
    assert "0 dropped" in (tmp_path / "feats/report.txt").read_text()
