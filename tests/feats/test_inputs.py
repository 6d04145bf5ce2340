"""What models see beside features: differences as Kaldi's, streams from archives, neighbours; in which order."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import kaldiio
import numpy as np
import pytest

from asrpar.errors import AsrparError, ConfigError
from asrpar.feats.batches import BatchLoader, eval_batches
from asrpar.feats.config import AugmentConfig, BatchConfig, InputConfig
from asrpar.feats.inputs import Inputs, splice, with_deltas
from asrpar.feats.store import FeatureStore


def spoken(name="u", frames=7, speaker="s"):
    return SimpleNamespace(id=name, speaker=speaker, num_frames=frames)


def archive(path: Path, entries: dict) -> str:
    """A Kaldi archive with its index; returns the index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kaldiio.save_ark(str(path.with_suffix(".ark")), entries, scp=str(path.with_suffix(".scp")))
    return str(path.with_suffix(".scp"))


def kaldis_deltas(x: np.ndarray, order: int, window: int) -> np.ndarray:
    """Scales of each order are those of the one before, convolved; frames outside are the outermost ones."""
    scales = [np.ones(1)]
    one = np.arange(-window, window + 1) / sum(j * j for j in range(-window, window + 1))
    for _ in range(order):
        scales.append(np.convolve(scales[-1], one))
    rows = []
    for t in range(len(x)):
        row = []
        for s in scales:
            reach = (len(s) - 1) // 2
            row.append(sum(s[j + reach] * x[min(max(t + j, 0), len(x) - 1)] for j in range(-reach, reach + 1)))
        rows.append(np.concatenate(row))
    return np.array(rows)


@pytest.mark.parametrize(("order", "window", "frames"), [(0, 2, 4), (1, 2, 9), (2, 2, 9), (2, 3, 2), (2, 2, 1)])
def test_differences_are_kaldis(order, window, frames):
    x = np.random.default_rng(frames).standard_normal((frames, 3))
    np.testing.assert_allclose(
        np.concatenate(with_deltas(x, order, window), 1), kaldis_deltas(x, order, window), atol=1e-12
    )


def test_neighbours():
    x = np.arange(3)[:, None] + np.array([[0, 10]])
    assert splice(x, 1, 2).tolist() == [
        [0, 10, 0, 10, 1, 11, 2, 12], [0, 10, 1, 11, 2, 12, 2, 12], [1, 11, 2, 12, 2, 12, 2, 12]
    ]  # fmt: skip


def test_the_order_of_all(tmp_path):
    frames = np.arange(7, dtype=np.float32)[:, None] * [1, -1]
    scp = {
        "fmllr": archive(tmp_path / "fmllr", {"u": frames}),
        "online": archive(tmp_path / "online", {"u": np.array([[100.0], [200.0], [300.0]], np.float32)}),
        "speaker": archive(tmp_path / "speaker", {"s": np.array([7.0, 8.0], np.float32)}),
    }
    streams = {"speaker": {"scp": scp["speaker"]}, "fmllr": {"scp": scp["fmllr"]}}
    streams["online"] = {"scp": scp["online"], "period": 3}
    config = InputConfig(deltas=1, streams=streams, splice=[1, 0])
    one, x = Inputs(config, "train"), np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    seen = one(x, spoken())
    assert seen.shape == (7, one.width(3)) == (7, 2 * (2 * 3 + 2) + 2 + 1) and seen.dtype == np.float32
    together = np.concatenate([*with_deltas(x, 1, 2), frames], 1)
    np.testing.assert_array_equal(seen[:, :16], splice(together, 1, 0))
    assert (seen[:, 16:18] == [7, 8]).all() and seen[:, 18].tolist() == [100] * 3 + [200] * 3 + [300]
    # Where frames were dropped, the first differences are those of what is left, and streams go along.
    later = one(x[2:], spoken(), np.arange(2, 7))
    np.testing.assert_array_equal(later[:, 14:], seen[2:, 14:])
    assert one.state()["widths"] == {"fmllr": 2, "speaker": 2, "online": 1}


def test_260_inputs(tmp_path):
    """40 fMLLR features, an i-vector of 100, 40 filter banks with two differences: those of Cui et al. 2020."""
    rows = {"u": np.zeros((7, 40), np.float32)}
    streams = {"fmllr": {"scp": archive(tmp_path / "fmllr_dev", rows).replace("dev", "{set}")}}
    streams["ivectors"] = {"scp": archive(tmp_path / "ivectors", {"u": np.zeros(100, np.float32)})}
    assert Inputs(InputConfig(deltas=2, streams=streams), "dev").width(40) == 260


@pytest.mark.parametrize(
    ("entries", "more", "says"),
    [
        ({"u": np.zeros((6, 2), np.float32)}, {}, "u in .* has 6 rows, but u has 7 frames, which need 7"),
        ({"u": np.zeros((6, 2), np.float32)}, {"period": 2}, r"which need 4 \(one for every 2\)"),
        ({"v": np.zeros(2, np.float32)}, {}, "no entry of 1 of 1 utterances, such as u, nor of its speaker s"),
        ({"a": np.zeros(3, np.float32), "u": np.zeros(2, np.float32)}, {}, r"u in .* shape \(2,\), others have 1 axes"),
        ({"u": np.full(2, np.nan, np.float32)}, {}, "holds NaN"),
    ],
)
def test_streams_that_do_not_fit(tmp_path, entries, more, says):
    config = InputConfig(streams={"x": {"scp": archive(tmp_path / "x", entries), **more}})
    with pytest.raises(AsrparError, match=rf"input\.streams\.x: .*{says}"):
        Inputs(config, "dev")(np.zeros((7, 3), np.float32), spoken())


def test_commands_are_not_run_and_files_must_be_there(tmp_path):
    (tmp_path / "x.scp").write_text(f"u touch {tmp_path}/ran |\n")
    with pytest.raises(AsrparError, match="commands in data are not run"):
        Inputs(InputConfig(streams={"x": {"scp": str(tmp_path / "x.scp")}}), "dev")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(AsrparError, match=r"input\.streams\.x: .*y_dev\.scp is missing; .* set 'dev'"):
        Inputs(InputConfig(streams={"x": {"scp": str(tmp_path / "y_{set}.scp")}}), "dev")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"deltas": 3}, "deltas is 3"),
        ({"splice": [1]}, "splice is .1.: it must be two numbers"),
        ({"streams": {"x": "y.scp"}}, r"streams\.x is 'y\.scp': it must have a key scp"),
        ({"streams": {"x": {"scp": "y", "perod": 2}}}, r"did you mean 'streams\.x\.period'"),
        ({"streams": {"x": {"period": 2}}}, r"streams\.x\.scp is : it must name a file"),
    ],
)
def test_wrong_settings(values, says):
    with pytest.raises(ConfigError, match=says):
        InputConfig(**values).validate()


class Numbered:
    """Targets are the numbers of the frames that a batch shows."""

    of_labels = True

    def targets(self, utterance, frames=None):
        return np.arange(utterance.num_frames) if frames is None else frames


@pytest.fixture
def numbered(feats, tmp_path):
    """Inputs with a stream of the numbers of frames, and one for each speaker."""
    stores = [FeatureStore(feats, split) for split in ("train", "dev")]
    rows = {u.id: np.arange(u.num_frames, dtype=np.float32)[:, None] for s in stores for u in s.utterances}
    speakers = {u.speaker: np.array([ord(u.speaker[-1])], np.float32) for s in stores for u in s.utterances}
    streams = {"number": {"scp": archive(tmp_path / "number", rows)}}
    streams["speaker"] = {"scp": archive(tmp_path / "speaker", speakers)}
    return InputConfig(deltas=1, streams=streams)


@pytest.mark.parametrize("pieces", ["utterances", "windows", "frames"])
def test_streams_move_with_frames_and_differences_are_of_what_is_masked(feats, numbered, pieces):
    augment = AugmentConfig(time_warp=4, frequency_mask_bins=10, time_masks=1)
    config = BatchConfig(pieces=pieces, size=1500, pool_frames=6000, augment=augment)
    loader = BatchLoader(
        feats, "train", config, 1, objective=Numbered(), stride=1 if pieces == "frames" else 3, context=(0, 0),
        inputs=numbered,
    )  # fmt: skip
    assert loader.num_features == 42
    masked = 0
    for batch in loader.epoch(0):
        for n, (frames, target) in enumerate(zip(batch.feature_lens.tolist(), batch.targets, strict=True)):
            seen = batch.features[n, :frames].numpy()
            np.testing.assert_array_equal(seen[:, 40], target)
            if pieces != "frames":
                speaker = batch.ids[n].split("-")[-2][-1]
                assert (seen[:, 41] == ord(speaker)).all()
            if pieces == "utterances":
                still = (seen[:, :20] == 0).all(0)
                assert (seen[:, 20:40][:, still] == 0).all(), "a band without anything does not change"
                masked += still.any()
    assert masked > 20 or pieces != "utterances"


def test_nothing_more_is_the_features_themselves(feats, numbered):
    config = BatchConfig(size=1500, augment=AugmentConfig(time_warp=4))
    plain, none = (
        BatchLoader(feats, "train", config, 1, stride=3, inputs=inputs)
        for inputs in (None, InputConfig(delta_window=3))
    )
    for a, b in zip(plain.epoch(0), none.epoch(0), strict=True):
        assert a.features.equal(b.features)
    one, other = (next(eval_batches(feats, "dev", 5000, inputs=i)) for i in (replace(numbered, streams={}), numbered))
    assert one.features.equal(other.features[:, :, :40])
    assert other.features[0, :5, 40].tolist() == [0, 1, 2, 3, 4]
