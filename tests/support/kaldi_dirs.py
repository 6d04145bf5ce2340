"""Small Kaldi data folders."""

from pathlib import Path

from asrpar.corpus.kaldi.folder import KaldiDir, read_kaldi_dir
from asrpar.corpus.problems import Problems

FILES = {
    "wav.scp": "r1 {wav}\nr2 {wav}\n",
    "segments": "a-1 r1 0.00 0.50\na-2 r1 0.50 -1\nb-1 r2 0.25 0.75\n",
    "text": "a-1 ONE TWO\na-2\nb-1 THREE\n",
    "utt2spk": "a-1 a\na-2 a\nb-1 b\n",
    "spk2utt": "a a-1 a-2\nb b-1\n",
}


def make_dir(path: Path, wav: Path, **changes: str | None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in (FILES | {k.replace("__", "."): v for k, v in changes.items()}).items():
        if content is not None:
            (path / name).write_bytes(content.replace("{wav}", str(wav)).encode())
    return path


def read_kaldi(path: Path) -> KaldiDir:
    """The content of a folder, or a `DataError` with what is wrong."""
    problems = Problems(str(path))
    tables = read_kaldi_dir(path, problems)
    problems.refuse()
    return tables.content()
