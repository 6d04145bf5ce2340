import gzip
import json

import pytest
from click.testing import CliRunner
from data_checks import RATE, assert_found, nan_wav, validate_manifests, write_wav

from asrpar.commands.validate_data import command
from asrpar.corpus.checks.report import Limits

UTTERANCES = ("ann-1", "ann-2", "bob-1")


def records(folder, ids=UTTERANCES, duration=1.0):
    """The records of a good split: kind → list."""
    samples = round(duration * RATE)
    recordings = [
        {
            "id": u,
            "sources": [{"type": "file", "channels": [0], "source": f"{folder}/{u}.wav"}],
            "sampling_rate": RATE,
            "num_samples": samples,
            "duration": duration,
            "channel_ids": [0],
        }
        for u in ids
    ]
    supervisions = [
        {
            "id": u,
            "recording_id": u,
            "start": 0.0,
            "duration": duration,
            "channel": 0,
            "text": "YES NO",
            "speaker": u[:3],
        }
        for u in ids
    ]
    cuts = [
        {
            "id": u,
            "start": 0,
            "duration": duration,
            "channel": 0,
            "supervisions": [dict(s)],
            "recording": dict(r),
            "type": "MonoCut",
        }
        for u, r, s in zip(ids, recordings, supervisions, strict=True)
    ]
    return {"recordings": recordings, "supervisions": supervisions, "cuts": cuts}


def write_split(folder, split, kinds):
    folder.mkdir(parents=True, exist_ok=True)
    for kind, items in kinds.items():
        lines = "".join(json.dumps(item) + "\n" for item in items)
        (folder / f"{kind}_{split}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))


def make_manifests(folder, change=lambda _kinds: None):
    folder.mkdir()
    for u in UTTERANCES:
        write_wav(folder / f"{u}.wav")
    kinds = records(folder)
    change(kinds)
    write_split(folder, "train", kinds)
    return folder


def replace_line(folder, kind, number, line):
    path = folder / f"{kind}_train.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    lines[number - 1] = line(lines[number - 1])
    path.write_bytes(gzip.compress(b"\n".join(lines)))


def put(kind, number, **fields):
    """A change of fields in one record."""
    return lambda kinds: kinds[kind][number - 1].update(fields)


def put_supervision(number, **fields):
    """A change of a supervision, in its own file and in the cut."""

    def change(kinds):
        kinds["supervisions"][number - 1].update(fields)
        kinds["cuts"][number - 1]["supervisions"][0].update(fields)

    return change


REC, SUP, CUT = (f"{kind}_train.jsonl.gz" for kind in ("recordings", "supervisions", "cuts"))

# name: (change of the records, file and record that are named, part of the message)
CHANGES = {
    "duplicate recording": (lambda k: k["recordings"].insert(1, k["recordings"][0]), f"{REC}:2", "duplicate of line 1"),
    "duplicate supervision": (lambda k: k["supervisions"].insert(1, k["supervisions"][0]), f"{SUP}:2", "duplicate"),
    "duplicate cut": (lambda k: k["cuts"].insert(1, k["cuts"][0]), f"{CUT}:2", "duplicate"),
    "no recordings": (lambda k: k.pop("recordings"), f"{REC}:0", "is missing: asrpar prepare-manifests"),
    "no supervisions": (lambda k: k.pop("supervisions"), f"{SUP}:0", "is missing"),
    "no cuts": (lambda k: k.pop("cuts"), f"{CUT}:0", "is missing"),
    "empty file": (lambda k: k["cuts"].clear(), f"{CUT}:0", "is empty"),
    "supervision without recording": (
        lambda k: k["recordings"].pop(1),
        f"{SUP}:2",
        "recording 'ann-2', which is not in the recordings",
    ),
    "supervision without cut": (lambda k: k["cuts"].pop(1), f"{SUP}:2", "'ann-2' is missing in the cuts"),
    "cut without supervision": (lambda k: k["supervisions"].pop(1), f"{CUT}:2", "missing in the supervisions"),
    "no text": (lambda k: k["supervisions"][1].pop("text"), f"{SUP}:2", "malformed: 'ann-2' has no text"),
    "no speaker": (put_supervision(2, speaker=None), f"{SUP}:2", "malformed: 'ann-2' has no speaker"),
    "no id": (lambda k: k["supervisions"][1].pop("id"), f"{SUP}:2", "has no id"),
    "wrong type": (put("recordings", 2, sampling_rate="8k"), f"{REC}:2", "sampling_rate of 'ann-2' is str, not int"),
    "NaN": (put_supervision(2, start=float("nan")), f"{SUP}:2", "start of 'ann-2' is nan"),
    "beyond all numbers": (put_supervision(2, start=10**400), f"{SUP}:2", "start of 'ann-2' is beyond 1e+15"),
    "huge samples": (
        put("recordings", 2, num_samples=-(10**400)),
        f"{REC}:2",
        "num_samples of 'ann-2' is beyond 1e+15",
    ),
    "not a record": (lambda k: k["cuts"].insert(0, 7), f"{CUT}:1", "not a record of fields"),
    "surrogate": (put_supervision(2, text="A\ud800"), f"{SUP}:2", "text of 'ann-2' has the character U+D800"),
    "surrogate in an id": (put_supervision(2, id="a\ud800"), f"{SUP}:2", r"id of 'a\ud800' has the character U+D800"),
    "second source": (
        lambda k: k["recordings"][1]["sources"].append({"type": "file", "channels": [1], "source": "/nowhere.wav"}),
        f"{REC}:2",
        "'ann-2, source 2': no audio file /nowhere.wav",
    ),
    "no source": (put("recordings", 2, sources=[]), f"{REC}:2", "no audio source"),
    "odd source": (
        put("recordings", 2, sources=[{"type": "x"}]),
        f"{REC}:2",
        "its source is of type 'x'",
    ),
    "command": (put("recordings", 2, sources=[{"type": "command", "source": "x"}]), f"{REC}:2", "--allow-pipes"),
    "command in a cut": (
        lambda k: k["cuts"][1]["recording"].update(sources=[{"type": "command", "channels": [0], "source": "x"}]),
        f"{CUT}:2",
        "is another in the recordings",
    ),
    "command in a transform": (
        put(
            "recordings",
            2,
            transforms=[{"name": "R", "kwargs": {"rir": {"sources": [{"type": "command", "source": "x"}]}}}],
        ),
        f"{REC}:2",
        "its source is a command ('x')",
    ),
    "missing audio": (
        put("recordings", 2, sources=[{"type": "file", "channels": [0], "source": "/nowhere.wav"}]),
        f"{REC}:2",
        "no audio file /nowhere.wav",
    ),
    "rate of the manifest": (
        put("recordings", 2, sampling_rate=16000, num_samples=16000),
        f"{REC}:2",
        "has 16000 Hz, not the 8000 Hz that most others have",
    ),
    "rate of the file": (
        put("recordings", 2, sampling_rate=16000, num_samples=16000),
        f"{REC}:2",
        "is said to have 16000 Hz, its file has 8000 Hz",
    ),
    "length of the file": (
        put("recordings", 2, num_samples=16000, duration=2.0),
        f"{REC}:2",
        "is said to have 16000 samples, its file has 8000",
    ),
    "durations disagree": (put("recordings", 2, duration=1.5), f"{REC}:2", "8000 samples at 8000 Hz are not 1.5 s"),
    "zero length": (put("recordings", 2, num_samples=0, duration=0.0), f"{REC}:2", "zero length"),
    "no duration": (put_supervision(2, duration=0.0), f"{SUP}:2", "has a duration of 0 s"),
    "negative duration": (put_supervision(2, duration=-1.0), f"{SUP}:2", "has a duration of -1 s"),
    "cut without duration": (put("cuts", 2, duration=0), f"{CUT}:2", "has a duration of 0 s"),
    "before the audio": (put_supervision(2, start=-0.5), f"{SUP}:2", "starts at -0.5 s"),
    "beyond the audio": (
        put_supervision(2, duration=1.2),
        f"{SUP}:2",
        "ends at 1.200 s, beyond its audio of 1.000 s",
    ),
    "cut beyond the audio": (put("cuts", 2, duration=1.2), f"{CUT}:2", "ends at 1.200 s, beyond its audio"),
    "cut of unknown recording": (put("cuts", 2, recording={"id": "z"}), f"{CUT}:2", "recording 'z', which is unknown"),
    "recording is text": (put("cuts", 2, recording="ann-2"), f"{CUT}:2", "'ann-2' has no recording with an id"),
    "recording without id": (put("cuts", 2, recording={"id": [1]}), f"{CUT}:2", "'ann-2' has no recording with an id"),
    "two supervisions": (lambda k: k["cuts"][1].update(supervisions=[{}, {}]), f"{CUT}:2", "has 2 supervisions"),
    "other id": (
        lambda k: k["cuts"][1]["supervisions"][0].update(id="zoe"),
        f"{CUT}:2",
        "has the supervision 'zoe', not its own id",
    ),
    "other text": (
        lambda k: k["cuts"][1]["supervisions"][0].update(text="NO"),
        f"{CUT}:2",
        "text of cut 'ann-2' is not that of its supervision",
    ),
    "empty transcript": (put_supervision(2, text=" "), f"{SUP}:2", "empty transcript"),
    "too long a transcript": (put_supervision(2, text="YES" * 22), f"{SUP}:2", "66 characters in 1.00 s"),
    "two channels": (put_supervision(2, channel=[0, 1]), f"{SUP}:2", "is on the channels [0, 1]: choose one"),
    "no such channel": (put_supervision(2, channel=1), f"{SUP}:2", "is on channel 1, its recording has [0]"),
    "no channel": (put_supervision(2, channel=[]), f"{SUP}:2", "channel of 'ann-2' is not a number"),
    "channel of fields": (put_supervision(2, channel={}), f"{SUP}:2", "channel of 'ann-2' is not a number"),
    "surrogate in a file name": (
        put("recordings", 2, sources=[{"type": "file", "channels": [0], "source": "a\ud800"}]),
        f"{REC}:2",
        "its source has the character U+D800",
    ),
    "double space": (put_supervision(2, text="YES  NO"), f"{SUP}:2", "not separated by single spaces"),
    "invisible characters": (put_supervision(2, text="YES\u200b NO"), f"{SUP}:2", "has invisible characters"),
}
DAMAGE = {
    "invalid UTF-8": (lambda d: replace_line(d, "cuts", 2, lambda x: x[:9] + b"\xfe"), f"{CUT}:2", "byte 0xfe"),
    "CR LF": (lambda d: replace_line(d, "cuts", 2, lambda x: x + b"\r"), f"{CUT}:2", "lines end in CR LF, 1 of"),
    "broken JSON": (lambda d: replace_line(d, "cuts", 2, lambda x: x[:20]), f"{CUT}:2", "not a JSON record"),
    "deep JSON": (lambda d: replace_line(d, "cuts", 2, lambda _: b"[" * 100_000), f"{CUT}:2", "not a JSON record"),
    "no gzip": (lambda d: (d / CUT).write_bytes(b"{}\n"), f"{CUT}:0", "is not readable gzip"),
    "cut gzip": (lambda d: (d / CUT).write_bytes((d / CUT).read_bytes()[:-30]), f"{CUT}:0", "is not readable gzip"),
    "empty audio": (lambda d: (d / "ann-2.wav").write_bytes(b""), f"{REC}:2", "is empty (0 bytes)"),
    "NaN in audio": (lambda d: nan_wav(d / "ann-2.wav"), f"{REC}:2", "has 2 samples that are NaN or infinite"),
    "audio cut short": (
        lambda d: write_wav(d / "ann-2.wav", 0.5),
        f"{SUP}:2",
        "ends at 1.000 s, beyond its audio of 0.500 s",
    ),
}


def test_manifests_in_any_order_are_sound(tmp_path):
    def turned(kinds):
        for items in kinds.values():
            items.reverse()

    assert validate_manifests(make_manifests(tmp_path / "m", turned)) == []


def test_good_manifests(tmp_path):
    folder = make_manifests(tmp_path / "m")
    assert validate_manifests(folder, Limits(sampling_rate=RATE, read_audio=True)) == []


@pytest.mark.parametrize("case", CHANGES)
def test_manifest_errors(case, tmp_path):
    change, place, message = CHANGES[case]
    folder = make_manifests(tmp_path / "m", change)
    assert_found(validate_manifests(folder), folder, place, message)


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_manifests(case, tmp_path):
    spoil, place, message = DAMAGE[case]
    folder = make_manifests(tmp_path / "m")
    spoil(folder)
    assert_found(validate_manifests(folder), folder, place, message)


def test_manifest_warnings(tmp_path):
    folder = make_manifests(tmp_path / "m", put_supervision(3, speaker="rob"))
    problems = validate_manifests(folder)
    assert_found(problems, folder, f"{SUP}:3", "does not begin with its speaker 'rob'", warning=True)
    assert len(problems) == 1


def test_a_resampling_manifest_may_differ_from_its_file(tmp_path):
    def resample(kinds):
        for r in kinds["recordings"] + [c["recording"] for c in kinds["cuts"]]:
            r.update(sampling_rate=16000, num_samples=16000, transforms=[{"name": "Resample", "kwargs": {}}])

    assert validate_manifests(make_manifests(tmp_path / "m", resample), Limits(sampling_rate=16000)) == []


def test_splits_of_manifests_are_compared(tmp_path):
    folder = make_manifests(tmp_path / "m")
    write_wav(folder / "ann-9.wav")
    write_split(folder, "test", records(folder, ("ann-2", "ann-9")))
    problems = validate_manifests(folder)
    assert [(p.line, p.warning) for p in problems] == [(1, False), (2, False)]
    assert_found(problems, folder, "supervisions_test.jsonl.gz:1", "speaker 'ann' is in train too")
    assert_found(problems, folder, f"{SUP}:2", "utterance 'ann-2' is in test too")


def test_command_on_good_manifests(tmp_path):
    folder = make_manifests(tmp_path / "m")
    done = CliRunner().invoke(command, [str(folder), "--manifests", "--sampling-rate", str(RATE)])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f"{folder}: train: 3 utterances, 2 speakers, 0.00 h, 8000 Hz",
        "0 errors, 0 warnings: 1 set checked",
    ]


def test_features_beside_manifests_are_checked(tmp_path):
    folder = make_manifests(tmp_path / "m")
    (folder / "feats_train.scp").write_text(f"ann-1 {folder}/x.ark:2\n")
    (folder / "x.ark").write_bytes(b"a \0BFM \x04junk")
    assert_found(validate_manifests(folder), folder, "feats_train.scp:1", "features of 'ann-1' at")
