import numpy as np
import pytest

from asrpar.feats.cepstra import cepstra, deltas


def test_a_cosine_is_one_cepstrum_and_a_constant_the_first():
    wave = np.cos(3 * np.pi * (np.arange(20) + 0.5) / 20)
    found = cepstra(np.stack([wave, np.ones(20)]).astype(np.float32))
    assert found.shape == (2, 39)
    assert found[0, :13] == pytest.approx(np.sqrt(10) * np.eye(13)[3], abs=1e-5)
    assert found[1, :13] == pytest.approx(np.sqrt(20) * np.eye(13)[0], abs=1e-5)


def test_no_more_cepstra_than_energies():
    energies = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    assert cepstra(energies, 13).shape == (5, 12)
    assert np.linalg.norm(cepstra(energies, 13)[:, :4]) == pytest.approx(np.linalg.norm(energies), abs=1e-5)


def test_differences_are_slopes():
    line = np.arange(8.0)[:, None] * 3
    assert deltas(line)[2:-2, 0] == pytest.approx(3)
    assert deltas(line)[0, 0] == pytest.approx(3 * (1 + 2 * 2) / 10)  # (1 (x1 - x0) + 2 (x2 - x0)) / 10
    assert np.array_equal(cepstra(line, 0), np.concatenate([line, deltas(line), deltas(deltas(line))], axis=1))
    assert deltas(line[:1]).tolist() == [[0.0]]
