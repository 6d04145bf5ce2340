"""Unpacking archives from the network: nothing is written outside of the target, and nothing half-way."""

import hashlib
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from asrpar.errors import DataError
from asrpar.files.checksums import file_digest
from asrpar.files.paths import naming

_RESERVE = 64 << 20  # bytes that unpacking leaves free


def unpack(
    archive: str | Path,
    target: str | Path,
    rename: tuple[str, str] | None = None,
    content: tuple[str, Sequence[str]] | None = None,
) -> None:
    """Unpack a tar file (any compression) below ``target``.

    It is unpacked beside and moved into place when whole; files that are there already are replaced, and folders that
    are there are merged into.

    Args:
        archive: the tar file.
        target: an existing or new folder.
        rename: (a top folder of the archive, its new name).
        content: (digest, folders) as for `content_digest`, in the (renamed) top folder; checked before moving.

    Raises:
        DataError: the file is damaged; a member is absolute, points outside (by ``..`` or a link) or is a device; the
            content is not the expected; or the disk is full. The target is then as it was.
    """
    archive, target = Path(archive), Path(target)
    target.mkdir(parents=True, exist_ok=True)
    staging = target / f".unpack-{archive.name}.{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        with naming(target):
            _extract(archive, staging)
        if rename and (staging / rename[0]).exists():
            (staging / rename[0]).replace(staging / rename[1])
        if content:
            top = staging / rename[1] if rename else next(iter(sorted(staging.iterdir())), staging)
            found = content_digest(top, content[1])
            if found != content[0]:
                raise DataError(
                    f"{archive} does not hold what it should: its content has sha256 {found}, expected {content[0]}; "
                    "delete it and run again"
                )
        _merge(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_space(folder: Path, needed: float, what: str) -> None:
    """Raise `DataError` unless ``needed`` bytes, and some more, are free below ``folder``, which exists."""
    free = shutil.disk_usage(folder).free
    if needed + _RESERVE > free:
        raise DataError(
            f"the disk is too full to unpack {what}: about {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are "
            f"free; free some space below {folder}"
        )


def content_digest(top: str | Path, folders: Sequence[str]) -> str:
    """The sha256 of what ``find FOLDERS -type f | LC_ALL=C sort | xargs sha256sum`` prints in ``top``."""
    top = Path(top)
    files = sorted(
        (p.relative_to(top).as_posix() for folder in folders for p in (top / folder).rglob("*") if p.is_file()),
        key=str.encode,
    )
    listing = "".join(f"{file_digest(top / name)}  {name}\n" for name in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _extract(archive: Path, staging: Path) -> None:
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                # The filter would strip a leading slash and resolve dots; no honest archive has them.
                if name.is_absolute() or ".." in name.parts:
                    raise DataError(f"{archive} is refused: it would write outside of its folder ({member.name})")
                if member.size + _RESERVE > shutil.disk_usage(staging).free:
                    raise DataError(f"the disk is too full to unpack {archive}: free some space below {staging.parent}")
                tar.extract(member, staging, filter="data")
            while tar.fileobj and tar.fileobj.read(1 << 20):  # up to the compressor's checksum
                pass
    except tarfile.FilterError as e:
        raise DataError(f"{archive} is refused: {e}") from e
    except (tarfile.TarError, EOFError, ValueError, OSError, zlib.error, lzma.LZMAError) as e:
        if isinstance(e, OSError) and e.errno is not None:  # the disk's fault, not the archive's
            raise
        raise DataError(f"{archive} is damaged ({str(e).splitlines()[0]}): delete it and run again") from e


def _merge(source: Path, target: Path) -> None:
    # Files first: once a folder is there, what belongs beside it is there as well.
    for entry in sorted(source.iterdir(), key=lambda p: (p.is_dir(), p.name)):
        final = target / entry.name
        if entry.is_dir() and not entry.is_symlink() and final.is_dir():
            _merge(entry, final)
        else:
            entry.replace(final)
