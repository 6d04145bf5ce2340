from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "one second.wav"
    soundfile.write(str(path), (1000 * np.sin(np.arange(8000))).astype(np.int16), 8000)
    return path
