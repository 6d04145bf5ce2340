"""Archives inside a corpus, such as one tar file a speaker: unpacked once, elsewhere, and left as they are."""

from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from asrpar.corpus.unpack import check_space, unpack
from asrpar.files.replacing import replacing_folder

_NOTE = ".unpacked"


def unpack_each(archives: Iterable[Path], target: Path, expansion: float) -> dict[Path, Path]:
    """Unpack each archive to a folder of its own below ``target``, unless that has been done.

    The folders of an earlier run are used again if the archives are still the same files (path, size and time).

    Args:
        archives: tar files of different names (any compression); they stay where they are.
        target: a folder that need not exist, outside of the corpus, which may be read-only.
        expansion: unpacked size / packed size, to see beforehand whether the disk has room.

    Returns:
        Archive → its folder.

    Raises:
        DataError: too little disk, or as `unpack`, which names the archive; what others have left stays.
    """
    folders = {archive: target / archive.name.split(".", 1)[0] for archive in archives}
    missing = {a: f for a, f in folders.items() if not _is_done(a, f)}
    if missing:
        target.mkdir(parents=True, exist_ok=True)
        check_space(target, expansion * sum(a.stat().st_size for a in missing), f"{len(missing)} archives")
    for archive, folder in tqdm(missing.items(), desc=f"unpacking to {target.name}", disable=None, leave=False):
        with replacing_folder(folder) as whole:
            unpack(archive, whole)
            (whole / _NOTE).write_text(_identity(archive), encoding="utf-8")
    return folders


def _is_done(archive: Path, folder: Path) -> bool:
    note = folder / _NOTE
    return note.is_file() and note.read_text(encoding="utf-8") == _identity(archive)


def _identity(archive: Path) -> str:
    stat = archive.stat()
    return f"{archive.absolute()} {stat.st_size} {stat.st_mtime_ns}\n"
