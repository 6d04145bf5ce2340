"""Ten odd recordings, and the forms in which words come out."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from decoding import SMALL, run

from asrpar.cli import cli
from asrpar.decode.transcribe import Transcript
from asrpar.decode.transcript import cues, lines_of, srt_time, two_lines
from asrpar.decode.words import Hypothesis
from asrpar.errors import DataError

RATE = 8000


@pytest.fixture
def said(exp, data, tmp_path):
    """Transcribe files with the graph and one point of the grid; the words by name, and what was told."""
    run("decode", "--exp", exp, "--feats", data / "feats", "--graph", data / "graph", "--test", "", *SMALL)

    def said(*paths, **options):
        arguments = [str(x) for key, value in options.items() for x in (f"--{key.replace('_', '-')}", value)]
        command = ["transcribe", "--exp", exp, "--graph", data / "graph", "--jobs", 1, *arguments, *paths]
        result = CliRunner().invoke(cli, [str(x) for x in command])
        if result.exception:
            raise result.exception
        return dict(line.split("\t") for line in result.stdout.splitlines()), result.stderr

    return said


@pytest.fixture
def voice(data):
    """Samples of a recording of the test set, and what else there is to say them."""
    samples, rate = soundfile.read(sorted((data / "manifests").glob("*-test4.wav"))[0])
    assert rate == RATE
    return samples


def test_nine_odd_recordings(said, voice, tmp_path):
    def write(name, samples=voice, rate=RATE, **options):
        soundfile.write(tmp_path / name, samples, rate, **options)
        return tmp_path / name

    fine = np.interp(np.arange(6 * len(voice)) / 6, np.arange(len(voice)), voice)
    plain = write("plain.wav")
    files = [
        write("24bit.wav", subtype="PCM_24"),
        write("float.wav", subtype="FLOAT"),
        write("opus.opus", format="OGG", subtype="OPUS"),
        write("mp3.mp3"),
        write("stereo.flac", np.stack([voice, voice], axis=1)),
        write("16k.wav", fine[::3], 2 * RATE),
        write("48k.wav", fine, 6 * RATE),
        write("silence.wav", np.zeros(2 * RATE)),
    ]
    words, told = said(plain, *files)
    right = words.pop("plain")
    assert right
    # What lost nothing gives the same; what was resampled or compressed gives something.
    assert {words[name] for name in ("24bit", "float", "stereo")} == {right}
    assert all(words[name] for name in ("opus", "mp3", "16k", "48k"))
    assert "stereo.flac: 2 channels, their mean is taken (--channel takes one)" in told
    assert "48k.wav: 48000 Hz, resampled to 8000 Hz" in told
    assert "silence.wav: silent" in told
    slow = write("slow.wav", voice[::2], RATE // 2)
    assert "slow.wav: 4000 Hz, resampled to 8000 Hz, and has nothing above 2000 Hz" in said(slow)[1]
    channels = write("two.wav", np.stack([0 * voice, voice], axis=1))
    assert said(channels, channel=1)[0] == {"two": right}
    short = plain.with_name("short.wav")
    short.write_bytes(plain.read_bytes()[:-3000])
    with pytest.raises(DataError, match=r"short.wav is cut short: \d+ of the \d+ samples that its header promises"):
        said(plain, short)


def test_twenty_minutes(said, voice, tmp_path, monkeypatch):
    """A recording that is cut in pauses has the words and times of its parts, and little of it is held at a time."""
    speech = np.concatenate([0.05 * voice, 0.001 * np.random.default_rng(0).standard_normal(RATE)])
    speech = np.concatenate([speech[-RATE // 2 :], speech[: -RATE // 2]])
    times = round(20 * 60 * RATE / len(speech))
    path = tmp_path / "long.flac"
    soundfile.write(path, np.tile(speech, times), RATE)
    (tmp_path / "one").mkdir()
    longest, read = 0, soundfile.SoundFile.read

    def reading(self, frames=-1, **options):
        nonlocal longest
        longest = max(longest, self.frames if frames < 0 else frames)
        return read(self, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", reading)
    _, notes = said(path, format="json", output=tmp_path / "x.json")
    assert int(re.search(r"long.flac: (\d+) pieces of", notes)[1]) == times
    assert re.search(r"long.flac: 1\d\d\d s, cut in pauses", notes)
    assert longest <= 10 * RATE
    told = json.loads((tmp_path / "x.json").read_text())
    assert [word["word"] for word in told["words"]] == told["text"].split()
    assert len(told["pieces"]) == times
    # Piece by piece the same words, at the same places; the first has no pause before it to take half of.
    seconds, by_piece = len(speech) / RATE, {}
    for word in told["words"]:
        number = int(word["start"] // seconds)
        by_piece.setdefault(number, []).append((word["word"], word["start"] - number * seconds))
    inner = [by_piece.get(number, []) for number in range(1, times - 1)]
    assert inner[0]
    assert sum([w for w, _ in x] == [w for w, _ in inner[0]] for x in inner) > 0.95 * len(inner)
    assert all(abs(a[1] - b[1]) < 0.05 for x in inner[:20] for a, b in zip(x, inner[0], strict=False))


def transcript(*words):
    """Of words of half a second each, given with their begins."""
    found = Hypothesis("x", [w for w, _ in words], [s for _, s in words], [s + 0.5 for _, s in words])
    return Transcript("x", "x.wav", found, [0.0])


def test_subtitles():
    found = transcript(("one", 0.0), ("two", 0.6), ("three", 3.0), *(("word", 4.0 + i) for i in range(0, 20)))
    lines = "".join(lines_of(found, "srt"))
    assert lines.startswith(
        "1\n00:00:00,000 --> 00:00:01,400\none two\n\n2\n00:00:03,000 --> 00:00:09,800\nthree word word word word word"
    )
    assert all(end - begin <= 7.5 for begin, end, _ in cues(found.hypothesis))
    shown = list(cues(found.hypothesis))
    assert all(a[1] <= b[0] for a, b in pairwise(shown))
    assert " ".join(text for *_, text in shown) == " ".join(found.hypothesis.words)
    assert srt_time(3661.0004) == "01:01:01,000"
    assert srt_time(59.9996) == "00:01:00,000"
    assert two_lines("a " * 30 + "b").count("\n") == 1
    assert list(lines_of(transcript(), "srt")) == []


def test_a_file_for_each_recording(said, voice, tmp_path):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", voice, RATE)
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    said(*files, format="srt", output_dir=tmp_path / "out")
    said(*files, output_dir=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.srt", "a.txt", "b.srt", "b.txt"]
    (tmp_path / "c").mkdir()
    soundfile.write(tmp_path / "c" / "a.wav", voice, RATE)
    with pytest.raises(DataError, match="a is given 2 times: files of that name would be written over each other"):
        said(files[0], tmp_path / "c" / "a.wav", output_dir=tmp_path / "out")
