import shutil

import pytest


@pytest.fixture(scope="session")
def sclite():
    """Command of NIST's sclite; the test is skipped where it is not installed."""
    for command in (["sclite"], ["/usr/lib/sctk/bin/sclite"]):
        if shutil.which(command[0]):
            return command
    if shutil.which("sctk"):
        return ["sctk", "sclite"]
    pytest.skip("sclite is not installed (Debian package sctk)")


@pytest.fixture(scope="session")
def sctk():
    """An installed SCTK; the test is skipped where there is none."""
    from asrpar.errors import MissingInputError
    from asrpar.score.sctk.programs import find_sctk

    try:
        return find_sctk()
    except MissingInputError:
        pytest.skip("NIST's SCTK is not installed (Debian package sctk)")


@pytest.fixture(scope="session")
def write_trn():
    def write(path, transcripts):
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{' '.join(words)} ({utt_id})\n".lstrip() for utt_id, words in transcripts.items()]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write
