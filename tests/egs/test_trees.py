"""The miniature corpora themselves: what is written can be read, and says what was meant."""

import io
from itertools import pairwise

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


def test_telephone_corpora(tmp_path):
    from trees.fisher import make_fisher
    from trees.hub5 import make_hub5, make_rt03
    from trees.swbd import make_swbd

    for make in (make_swbd, make_fisher, make_hub5, make_rt03):
        assert make(tmp_path) == tmp_path
    found = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.suffix.lower() == ".sph"}
    assert found == {"LDC97S62", "LDC2004S13", "LDC2005S13", "LDC2002S09", "LDC2007S10"}
    texts = "".join(path.read_text() for path in tmp_path.rglob("*-trans.text"))
    for mark in ("[laughter-", "{[laughter-", "<b_aside>", "[noise]", "[vocalized-noise]", "_1 ", "/", "]- ", "T V"):
        assert mark in texts, mark
    # Segments of a side follow each other without gaps.
    for path in tmp_path.rglob("*A-ms98-a-trans.text"):
        spans = [line.split()[1:3] for line in path.read_text().splitlines()]
        assert all(a[1] == b[0] for a, b in pairwise(spans)), path
    lines = (tmp_path / "LDC2002T43/reference/hub5e00.english.000405.stm").read_text().splitlines()
    segments = (tmp_path / "LDC2002S09/hub5e_00/english/hub5e_00.pem").read_text().splitlines()
    assert sum(";;" not in line for line in lines) == sum(";;" not in line for line in segments)
