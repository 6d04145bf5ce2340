"""The miniature corpora themselves: what is written can be read, and says what was meant."""

import io

import numpy as np
import pytest
import soundfile
from trees.speech import by_speaker, resample, synthetic
from trees.sphere import write_sphere


@pytest.mark.parametrize("length", [1, 255, 256, 700, 20000])
def test_shorten_is_read_back_exactly(tmp_path, length):
    desphere = pytest.importorskip("desphere")
    rng = np.random.default_rng(length)
    call = (rng.standard_normal((2, length)) * rng.choice([0.001, 0.1, 0.9], (2, length))).astype(np.float32)
    write_sphere(tmp_path / "plain.sph", call)
    write_sphere(tmp_path / "packed.sph", call, compressed=True)
    unpacked = io.BytesIO()
    desphere.transcode(*desphere.read_sphere(str(tmp_path / "packed.sph")), unpacked)
    unpacked.seek(0)
    found, rate = soundfile.read(unpacked, dtype="int16")
    assert rate == 8000
    assert np.array_equal(found, soundfile.read(tmp_path / "plain.sph", dtype="int16")[0])


def test_synthetic_people_say_their_sentences():
    people = by_speaker(synthetic(["en-us+m1", "en-gb+f2"], 2))
    assert {u.sex for u in people["engbf2"]} == {"f"} and len(people["enusm1"]) == 2
    first = people["enusm1"][0]
    assert first.words[:3] == ("so", "i", "think")
    samples = resample(first.load(), 16000, 8000)
    assert 1 < len(samples) / 8000 < 5 and 0.05 < np.sqrt(np.mean(samples**2)) < 0.1
