"""A file that may not be read is not blamed for its content, whichever library stumbles over it."""

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import soundfile

from asrpar.cli import main
from asrpar.errors import AsrparError
from asrpar.files.lock import BusyError, alone, holder, try_lock

NOBODY = 65534


@pytest.fixture
def place():
    """A folder that every user may enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="asrpar-unreadable-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@contextmanager
def without(path):
    """In here nobody may read ``path``."""
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        path.chmod(0o644)


def model(path):
    from asrpar.train.model_io import load_acoustic_model

    load_acoustic_model(path)


def checkpoint(path):
    import torch

    from asrpar.parallel.comm import LocalComm
    from asrpar.train.checkpoint import Checkpoints

    Checkpoints(path.parent, LocalComm(), 1)._read(path, torch.device("cpu"))


def recording(path):
    from asrpar.corpus.audio.files import probe

    probe(path, "a")


def decode_to_wav(path):
    from asrpar.corpus.audio.files import decode_to_wav

    decode_to_wav(path, path.with_suffix(".out"))


def manifest(path):
    from lhotse import RecordingSet

    from asrpar.corpus.manifests import read_manifest

    read_manifest(RecordingSet, path)


def cuts(path):
    from asrpar.feats.utterances import read_cuts

    read_cuts(path)


def stats(path):
    from asrpar.feats.stats import load_stats

    load_stats(path)


def lexicon(path):
    from asrpar.lang.lexicon import read_lexicon

    read_lexicon(path)


def settings(path):
    from asrpar.config import load_config
    from asrpar.train.config import TrainConfig

    load_config(TrainConfig, path)


@pytest.mark.parametrize(
    "read", [model, checkpoint, recording, decode_to_wav, manifest, cuts, stats, lexicon, settings]
)
def test_no_permission_is_told_as_that(place, read):
    path = place / ("recordings_x.jsonl.gz" if read in (manifest, cuts) else "x.wav")
    soundfile.write(path, [0.0] * 800, 8000, format="WAV")
    with suppress(AsrparError):
        read(path)  # imports what it needs, which nobody may
    with pytest.raises(PermissionError) as told, without(path):
        read(path)
    assert str(path) in str(told.value)


def checkpoints(folder):
    from asrpar.parallel.comm import LocalComm
    from asrpar.train.checkpoint import Checkpoints

    Checkpoints(folder, LocalComm(), 1).complete()


def decodings(folder):
    from asrpar.decode.earlier import earlier_choice

    earlier_choice(folder, {}, lambda point: True)


def features(folder):
    from asrpar.decode.sets import check_sets

    check_sets(folder, [])


@pytest.mark.parametrize("look", [checkpoints, decodings, features])
def test_a_folder_without_permission_is_not_taken_for_an_empty_one(place, look):
    folder = place / "x"
    folder.mkdir()
    look(folder)
    with pytest.raises(PermissionError), without(folder):
        look(folder)


@pytest.mark.parametrize("read", [model, stats, cuts])
def test_a_folder_in_the_place_of_a_file_is_told_as_that(place, read):
    with pytest.raises(IsADirectoryError, match=str(place)):
        read(place)


def test_audio_without_permission_is_told_in_a_report(place):
    from asrpar.corpus.checks.audio import probe_audio

    path = place / "x.wav"
    soundfile.write(path, [0.0] * 800, 8000)
    with without(path):
        assert probe_audio(path).fault == f"audio file {path} is not readable: Permission denied"


def test_the_line_names_user_and_owner(place, capsys):
    path = place / "conf.yaml"
    path.write_text("max_states: 1\n")
    command = ["make-graph", "--config", str(path), "--lang", "x", "--output", "y"]
    with pytest.raises(SystemExit):
        main(command)
    assert "lang.yaml is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit), without(path):
        main(command)
    err = capsys.readouterr().err
    assert err.startswith(f"asrpar: error: Permission denied: {path} (you are nobody; {path} belongs to "), err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_of_several_users_is_held_by_one_at_a_time(place):
    place.chmod(0o777)
    with alone(place):
        pass  # the file stays, and is root's
    os.seteuid(NOBODY)
    try:
        with alone(place) as lock:
            assert try_lock(place) is None and holder(place).pid == os.getpid() and lock.writable()
        os.seteuid(0)
        with alone(place):
            os.seteuid(NOBODY)
            with pytest.raises(BusyError, match=f"process {os.getpid()} on"), alone(place):
                pass
            os.seteuid(0)
    finally:
        os.seteuid(0)
