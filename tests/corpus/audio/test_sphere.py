from pathlib import Path

import desphere.codecs
import numpy as np
import pytest
from telephone import noise
from trees.sphere import write_sphere

from asrpar.corpus.audio import sphere
from asrpar.corpus.audio.files import inspect, open_audio, probe
from asrpar.corpus.checks.audio import probe_audio
from asrpar.errors import DataError


def read(path: Path) -> np.ndarray:
    with open_audio(path) as file:
        return file.read(dtype="int16")


@pytest.fixture
def calls(tmp_path: Path) -> tuple[Path, Path]:
    samples = noise(1.03, 1)
    write_sphere(tmp_path / "plain.sph", samples)
    write_sphere(tmp_path / "packed.sph", samples, compressed=True)
    return tmp_path / "plain.sph", tmp_path / "packed.sph"


def test_compressed_samples_are_those_of_the_plain_file(calls):
    plain, packed = calls
    assert read(plain).shape == (8240, 2)
    np.testing.assert_array_equal(read(plain), read(packed))
    assert inspect(plain) == inspect(packed)
    assert probe(packed, "c").num_channels == 2


def test_python_decodes_the_same_and_says_that_it_is_slow(calls, monkeypatch, caplog):
    monkeypatch.setattr(desphere.codecs, "_native", None)
    monkeypatch.setattr(desphere, "native_available", lambda: False)
    monkeypatch.setattr(sphere, "_told", set())
    with caplog.at_level("WARNING"):
        assert sphere.decompressed(calls[1])[:4] == b"RIFF"
    assert "pip install desphere-native" in caplog.text
    np.testing.assert_array_equal(read(calls[0]), read(calls[1]))


def test_a_compressed_file_is_not_decoded_for_its_header(calls, monkeypatch):
    def fail(path):
        raise AssertionError("decoded")

    monkeypatch.setattr("asrpar.corpus.audio.files.decompressed", fail)
    assert inspect(calls[1]).seconds == pytest.approx(1.03)
    assert probe_audio(calls[1]).fault is None


def test_damage_behind_a_sound_header_is_found_when_it_is_read(calls):
    packed = calls[1]
    packed.write_bytes(packed.read_bytes()[:3000])
    assert inspect(packed).num_samples == 8240
    with pytest.raises(DataError, match=r"packed\.sph is not readable as audio: truncated or corrupt shorten stream"):
        open_audio(packed)
    assert "shorten stream" in probe_audio(packed, read_audio=True).fault


def test_the_first_pressing_counts_both_channels(tmp_path: Path):
    write_sphere(tmp_path / "a.sph", noise(0.5, 2), sample_count=8000)
    assert inspect(tmp_path / "a.sph").num_samples == 4000
    write_sphere(tmp_path / "b.sph", noise(0.5, 2), sample_count=12000)
    with pytest.raises(DataError, match="is cut short: 4000 of the 12000 samples"):
        inspect(tmp_path / "b.sph")


@pytest.mark.parametrize(
    ("compressed", "fields", "message"),
    [
        (False, {"sample_coding": None}, "does not say how its one byte a sample is coded"),
        (False, {"sample_coding": "adpcm"}, "is coded as adpcm, which is not read"),
        (True, {"sample_coding": "ulaw,embedded-shorten-v1.09"}, "is compressed Sphere .*shorten-v1.09.*not read"),
        (True, {"sample_coding": "ulaw"}, "is compressed by shorten, and its header does not say so"),
        (False, {"sample_coding": "ulaw,embedded-shorten-v2.00"}, "says that it is compressed .*no such data follow"),
        (True, {"sample_count": None}, "does not say its sample_count"),
        (True, {"channel_count": 0}, "does not say its channel_count"),
    ],
)
def test_a_header_that_leaves_something_open_is_refused(tmp_path: Path, compressed, fields, message):
    write_sphere(tmp_path / "a.sph", noise(0.2, 3), compressed=compressed, **fields)
    with pytest.raises(DataError, match=message):
        inspect(tmp_path / "a.sph")
    with pytest.raises(DataError, match=message):
        open_audio(tmp_path / "a.sph")
