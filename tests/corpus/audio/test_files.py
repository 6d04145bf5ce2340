"""Audio files are plain files that libsndfile decodes, and their lengths are true."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, Recording
from lhotse.audio import AudioSource

from asrpar.corpus.audio.files import decode_to_wav, inspect, open_audio, probe
from asrpar.corpus.audio.samples import load_samples
from asrpar.corpus.checks.audio import probe_audio
from asrpar.errors import DataError

RATE = 16000
NOISE = (0.1 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)


def audio_file(path: Path, form: str, subtype: str | None = "PCM_16") -> bytes:
    soundfile.write(path, NOISE, RATE, format=form, subtype=subtype)
    return path.read_bytes()


def without_first_frame(mp3: bytes) -> bytes:
    """Without the frame of the Xing header."""
    return mp3[mp3.index(mp3[:2], 4) :]


# ---- commands in data


def sources(tmp_path: Path) -> dict[str, AudioSource]:
    wav = tmp_path / "a.wav"
    audio_file(wav, "WAV")
    return {
        "command": AudioSource("command", [0], f"touch {tmp_path}/run; cat {wav}"),
        "memory": AudioSource("memory", [0], wav.read_bytes()),
        "url": AudioSource("url", [0], f"file://{wav}"),
    }


@pytest.mark.parametrize("kind", ["command", "memory", "url"])
def test_only_files_are_read(tmp_path: Path, kind: str):
    source = sources(tmp_path)[kind]
    recording = Recording("r", [source], RATE, len(NOISE), len(NOISE) / RATE)
    for audio in (recording, MonoCut("c", 0, 1.0, 0, recording=recording), recording.perturb_speed(0.9)):
        with pytest.raises(DataError, match=rf"recording r\S*: its source is .*{kind}.*audio files") as e:
            load_samples(audio)
        assert "\n" not in str(e.value)
    sound = MonoCut("s", 0, 1.0, 0, recording=probe(tmp_path / "a.wav", "s"))
    with pytest.raises(DataError, match="is not audio of one recording"):
        load_samples(sound.mix(MonoCut("c", 0, 1.0, 0, recording=recording)))
    assert not (tmp_path / "run").exists()


def test_a_command_inside_a_transform(tmp_path: Path):
    rir = Recording("rir", [sources(tmp_path)["command"]], RATE, len(NOISE), len(NOISE) / RATE)
    recording = probe(tmp_path / "a.wav", "r").reverb_rir(rir)
    for made in (recording, Recording.from_dict(recording.to_dict())):
        with pytest.raises(DataError, match="its source is a command"):
            load_samples(made)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["a;touch run;.sph", "$(touch run).sph", "a b'c\n.sph", "|touch run|.opus", "-"])
def test_names_of_files_are_only_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    audio_file(tmp_path / name, "NIST")
    samples = load_samples(probe(name, "r"))
    np.testing.assert_allclose(samples[0], NOISE, atol=1e-4)
    assert not (tmp_path / "run").exists()
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_part_of_a_file_is_what_lhotse_reads(tmp_path: Path):
    audio_file(tmp_path / "a.flac", "FLAC")
    recording = probe(tmp_path / "a.flac", "r")
    for cut in (
        MonoCut("c", 0.5031, 0.7017, 0, recording=recording),
        MonoCut("c", 0.0, recording.duration, 0, recording=recording).perturb_speed(1.1),
    ):
        np.testing.assert_array_equal(load_samples(cut), cut.load_audio())


def test_what_is_no_plain_file(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, "/dev/zero"):
        with pytest.raises(DataError, match="is not a file but a folder, a pipe or a device"):
            open_audio(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("sample_n_bytes -i 2\nsample_coding -s26 pcm,embedded-wavpack-v3.01", r"compressed Sphere .*sph2pipe -f wav"),
        ("sample_n_bytes -i 2\nsample_coding -s4 adpc", "is coded as adpc, which is not read"),
        ("sample_n_bytes -i 1", "does not say how its one byte a sample is coded"),
    ],
)
def test_sphere_that_is_not_read(tmp_path: Path, fields: str, message: str):
    header = f"NIST_1A\n   1024\nchannel_count -i 1\nsample_rate -i 8000\nsample_count -i 100\n{fields}\nend_head\n"
    (tmp_path / "a.sph").write_bytes(header.encode().ljust(1024, b"\0") + bytes(200))
    with pytest.raises(DataError, match=message):
        probe(tmp_path / "a.sph", "r")


# ---- lengths


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "NIST"])
def test_cut_short_by_its_header(tmp_path: Path, form: str):
    path = tmp_path / "a"
    whole = audio_file(path, form)
    assert inspect(path).num_samples == len(NOISE)
    path.write_bytes(whole[:-6400])
    with pytest.raises(DataError, match=rf"a is cut short: 28800 of the {len(NOISE)} samples"):
        open_audio(path)
    assert probe_audio(path).fault
    with pytest.raises(DataError, match="cut short"):
        decode_to_wav(path, tmp_path / "out.wav")
    path.write_bytes(whole + b"LIST")  # more than promised is no damage
    assert inspect(path).num_samples >= len(NOISE)


@pytest.mark.parametrize(("form", "subtype"), [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_compressed_and_cut_short(tmp_path: Path, form: str, subtype: str):
    path = tmp_path / "a"
    whole = audio_file(path, form, subtype)
    assert probe_audio(path, read_audio=True).fault is None
    path.write_bytes(whole[: len(whole) // 2])
    assert probe_audio(path, read_audio=True).fault
    with pytest.raises(DataError, match=r"cut short|lost sync"):
        load_samples(Recording("r", [AudioSource("file", [0], str(path))], RATE, len(NOISE), 2.0))


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_flac_cut_short_is_seen_without_reading_it(tmp_path: Path, part: float):
    whole = audio_file(tmp_path / "a.flac", "FLAC")
    (tmp_path / "a.flac").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(DataError, match=rf"a\.flac is cut short or damaged: the end of the {len(NOISE)} samples that"):
        probe(tmp_path / "a.flac", "r")
    assert "cut short" in (probe_audio(tmp_path / "a.flac").fault or "")


def test_beginnings_of_files(tmp_path: Path):
    """What was cut off within its header is refused as everything else is."""
    for form in ("WAV", "RF64", "W64", "AIFF", "AU", "NIST", "FLAC", "MP3", "OGG"):
        whole = audio_file(tmp_path / "whole", form, "PCM_16" if form in ("WAV", "W64", "NIST") else None)
        for length in range(1, 120, 2):
            (tmp_path / "a").write_bytes(whole[:length])
            with pytest.raises(DataError):
                open_audio(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(DataError):
        open_audio(tmp_path / "a")


@pytest.mark.parametrize("name", ["a.au", "a.snd", "a.vox", "a.gsm"])
def test_no_audio_because_of_its_name(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"<!DOCTYPE html><html>404 not found</html>" * 50)
    with pytest.raises(DataError, match="has no header that says what its samples are"):
        open_audio(tmp_path / name)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF - 36])
def test_wav_of_unknown_length(tmp_path: Path, length: int):
    whole = bytearray(audio_file(tmp_path / "a.wav", "WAV"))
    whole[40:44] = struct.pack("<I", length)
    (tmp_path / "a.wav").write_bytes(whole)
    assert inspect(tmp_path / "a.wav").num_samples == len(NOISE)
    assert probe_audio(tmp_path / "a.wav", read_audio=True).fault is None
    np.testing.assert_allclose(load_samples(probe(tmp_path / "a.wav", "r"))[0], NOISE, atol=1e-4)
    for rest in (b"", b"LIST\4\0\0\0abcd"):
        (tmp_path / "a.wav").write_bytes(bytes(whole[:40]) + bytes(4) + rest)
        with pytest.raises(DataError, match="holds no samples"):
            open_audio(tmp_path / "a.wav")


def test_wav_with_the_length_of_its_beginning(tmp_path: Path):
    """A recorder that was interrupted leaves it so; tags, padding and chunks behind the samples are sound."""
    whole = audio_file(tmp_path / "a.wav", "WAV")
    (tmp_path / "a.wav").write_bytes(whole[:40] + struct.pack("<I", 3200) + whole[44:])
    with pytest.raises(DataError, match=r"has 60800 bytes more than the 3200 bytes of samples .*: it was not finished"):
        open_audio(tmp_path / "a.wav")
    tags = b"ID3\4" + b"x" * 20000, b"LIST" + struct.pack("<I", 20000) + b"x" * 20000, bytes(20000), b"\xff" * 100
    for rest in (*tags, tags[1] + tags[0]):
        (tmp_path / "a.wav").write_bytes(whole + rest)
        assert inspect(tmp_path / "a.wav").num_samples == len(NOISE)


def test_flac_of_unknown_length(tmp_path: Path):
    whole = bytearray(audio_file(tmp_path / "a.flac", "FLAC"))
    whole[21] &= 0xF0
    whole[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(whole)
    recording = probe(tmp_path / "a.flac", "r")
    assert recording.num_samples == len(NOISE)
    assert probe_audio(tmp_path / "a.flac", read_audio=True).fault is None
    part = load_samples(MonoCut("c", 0.5, 0.5, 0, recording=recording))
    np.testing.assert_allclose(part[0], NOISE[RATE // 2 : RATE], atol=1e-4)


@pytest.mark.parametrize(("form", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_files_put_one_after_the_other(tmp_path: Path, form: str, subtype: str):
    """libsndfile reads the first alone, without a word."""
    first, second = audio_file(tmp_path / "a", form, subtype), audio_file(tmp_path / "b", form, subtype)
    if form == "OGG":
        assert first[14:18] != second[14:18]  # numbers of the streams
    (tmp_path / "a").write_bytes(first + second)
    if form == "OGG":
        with pytest.raises(DataError, match="a holds several Ogg streams, one after the other"):
            open_audio(tmp_path / "a")
    else:
        assert inspect(tmp_path / "a").num_samples == pytest.approx(2 * len(NOISE), abs=6 * 1152)
        assert probe_audio(tmp_path / "a", read_audio=True).fault is None


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_mp3_of_unknown_length(tmp_path: Path, mode: str):
    speech = np.concatenate([NOISE, np.zeros(3 * RATE, np.float32), NOISE[:RATE]])
    soundfile.write(tmp_path / "a.mp3", speech, RATE, bitrate_mode=mode, compression_level=0.5)
    whole = (tmp_path / "a.mp3").read_bytes()
    assert inspect(tmp_path / "a.mp3").num_samples == len(speech)
    tag = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    (tmp_path / "b.mp3").write_bytes(tag + without_first_frame(whole) + b"TAG".ljust(128, b"\0"))
    recording = probe(tmp_path / "b.mp3", "r")
    assert 0 <= recording.num_samples - len(speech) <= 2 * 1152  # an encoder's delay and the last frame's rest
    assert probe_audio(tmp_path / "b.mp3", read_audio=True).fault is None
    samples = load_samples(recording)[0]
    assert len(samples) == recording.num_samples
    loud = np.sqrt(np.mean(np.square(samples[-RATE // 2 - 1200 : -1200])))
    assert loud == pytest.approx(NOISE.std(), rel=0.2)  # the end is there, not cut off at an estimate


# ---- units


@pytest.mark.parametrize(("factor", "bits"), [(2**15, 16), (2**23, 24), (2**31, 32)])
def test_float_samples_in_units_of_integers(tmp_path: Path, factor: int, bits: int):
    soundfile.write(tmp_path / "a.wav", NOISE * factor, RATE, subtype="FLOAT")
    message = f"full scale is 1: they seem to be those of {bits}-bit integers; divide them by {2 ** (bits - 1)}"
    assert message in (probe_audio(tmp_path / "a.wav").fault or "")
    with pytest.raises(DataError, match=message):
        decode_to_wav(tmp_path / "a.wav", tmp_path / "out.wav")


def test_float_samples_that_were_only_amplified(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", NOISE * 100, RATE, subtype="FLOAT")
    assert (probe_audio(tmp_path / "a.wav").fault or "").endswith("where full scale is 1")


def test_float_samples_somewhat_above_full_scale(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", NOISE * 6, RATE, subtype="DOUBLE")
    assert probe_audio(tmp_path / "a.wav").fault is None


def test_an_empty_container(tmp_path: Path):
    with soundfile.SoundFile(empty := io.BytesIO(), "w", RATE, 1, format="FLAC"):
        pass
    (tmp_path / "a.flac").write_bytes(empty.getvalue())
    with pytest.raises(DataError):
        open_audio(tmp_path / "a.flac")
