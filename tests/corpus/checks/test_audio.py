"""Reading the audio of a corpus in several processes."""

import numpy as np
import soundfile

from asrpar.corpus.checks import audio
from asrpar.corpus.checks.report import DataSet, Limits
from asrpar.corpus.problems import Place


def test_several_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "FEW", 2)
    files = {}
    for number in range(5):
        path = tmp_path / f"{number}.wav"
        samples = np.random.default_rng(number).uniform(-0.5, 0.5, 800 + number).astype(np.float32)
        samples[3] = np.nan if number == 3 else 0.0
        soundfile.write(path, samples, 8000, subtype="FLOAT")
        files[str(number)] = (path, Place("wav.scp", number + 1))
    found = []
    for jobs in (1, 2):
        data = DataSet(name="train", where="here")
        lengths = audio.check_audio(data, files, Limits(read_audio=True, jobs=jobs))
        found.append((lengths, [str(problem) for problem in data.problems]))
    assert found[0] == found[1]
    assert [info.num_samples for info in found[0][0].values()] == [800, 801, 802, 803, 804]
    assert len(found[0][1]) == 1 and found[0][1][0].startswith("wav.scp:4: '3': audio file")
