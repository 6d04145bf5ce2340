"""Stage 0: files from public addresses, resumed where they broke off, and checked against their checksums."""

import errno
import http.client
import logging
import re
import shutil
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from asrpar.corpus.registry import Archive, Corpus, choose_parts
from asrpar.corpus.unpack import unpack
from asrpar.errors import AsrparError, DataError
from asrpar.files.checksums import file_digest
from asrpar.files.lock import alone
from asrpar.files.paths import naming
from asrpar.files.text import read_text

log = logging.getLogger("asrpar.corpus")

_CHUNK = 1 << 20
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}


class _Unreachable(AsrparError):
    """One address did not deliver; another one may."""


def download_corpus(
    corpus: Corpus, output: str | Path, parts: Sequence[str] = (), remove_archives: bool = False
) -> Path:
    """Fetch, verify and unpack; what is in place already is not fetched again.

    Args:
        corpus: an entry of the registry.
        output: the folder that archives are kept in and unpacked to.
        parts: those wanted, or () for the default ones.
        remove_archives: delete each archive once it is unpacked.

    Returns:
        The corpus's folder, which ``--corpus-dir`` wants.

    Raises:
        DataError: no network, a wrong checksum, a refused archive, too little disk.
    """
    if not corpus.parts:
        how = f"{corpus.made_by} makes it" if corpus.made_by else "give the copy you have with --corpus-dir"
        raise DataError(f"{corpus.name} is not downloaded: {how}")
    output = Path(output).absolute()
    with alone(output, ".download.lock"):
        archives = [a for part in choose_parts(corpus, parts) or corpus.default_parts for a in corpus.parts[part]]
        _check_disk_for(archives, output, remove_archives)
        for archive in archives:
            _obtain(archive, output, remove_archives)
    home = output / corpus.home
    if corpus.prepare is None or any(a.unpack for a in archives):  # not for the lexicon alone
        corpus.check(home)
    return home


def _check_disk_for(archives: Sequence[Archive], output: Path, remove: bool) -> None:
    """Refuse at once what would fill the disk after hours; archives of unknown size are looked at in their turn."""
    coming = [a for a in archives if a.size is not None and not _in_place(a, output)]
    packed = [a.size - _received(output / a.file_name) for a in coming]
    need = sum(int(a.size * a.expansion) for a in coming if a.unpack)
    if remove:  # one archive at a time
        need += max(packed, default=0)
    else:
        need += sum(packed)
    free = shutil.disk_usage(output).free
    if need > free:
        raise DataError(
            f"too little disk for what is asked for: {need / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free in {output}"
        )


def _received(packed: Path) -> int:
    return max(_size(packed), _size(packed.with_name(packed.name + ".part")))


def _in_place(archive: Archive, output: Path) -> bool:
    return all((output / path).exists() for path in archive.provides)


def _obtain(archive: Archive, output: Path, remove: bool) -> None:
    if _in_place(archive, output):
        log.info("%s is there already", ", ".join(archive.provides))
        return
    packed = output / archive.file_name
    # What is packed anew on request has other bytes tomorrow; its content is checked after unpacking.
    checks = {"md5": archive.md5, "sha256": archive.sha256, "size": archive.size, "record": archive.content is None}
    errors = []
    for url in archive.urls:
        try:
            fetch(url, packed, **checks, expansion=archive.expansion)
            break
        except _Unreachable as e:
            errors.append(str(e))
    else:
        raise DataError(
            f"cannot download {packed.name}: {'; '.join(errors)}. Without a network, get the corpus by other means "
            "and name its folder with --corpus-dir"
        )
    if archive.unpack:
        log.info("unpacking %s", packed)
        try:
            unpack(packed, output, archive.rename, archive.content)
            absent = [path for path in archive.provides if not (output / path).exists()]
            if absent:
                raise DataError(f"{packed} does not hold {absent[0]}: delete it and run again")
        except DataError:
            # The checksum of a file that is no good must not be held against the next one.
            _record(packed).unlink(missing_ok=True)
            raise
        if remove:
            packed.unlink()
    else:
        final = output / archive.provides[0]
        final.parent.mkdir(parents=True, exist_ok=True)
        packed.replace(final)


def fetch(
    url: str,
    target: str | Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    size: int | None = None,
    expansion: float = 0.0,
    attempts: int = 5,
    pause: float = 1.0,
    timeout: float = 60.0,
    record: bool = True,
) -> None:
    """Download a file; a partial one (``<target>.part``) is continued where it broke off.

    Without a published checksum the sha256 of the first download is written to ``<target>.sha256`` (sha256sum's format)
    and every later download has to agree with it.

    Args:
        url: http or https.
        target: where the file goes; one that is there is verified and kept.
        md5: its checksum, if published.
        sha256: likewise.
        size: in bytes, if known.
        expansion: further disk space needed as a multiple of the file's size.
        attempts: how often a broken connection is taken up again.
        pause: seconds before the second attempt; doubles each time.
        timeout: seconds without any data after which a connection counts as broken.
        record: keep that record; without it, a file without a published checksum is taken as it comes.

    Raises:
        DataError: wrong checksum, too little disk.
        AsrparError: the address cannot be reached, or has no such file.
    """
    target = Path(target)
    part = target.with_name(target.name + ".part")
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url}: only http and https addresses are downloaded from")
    if target.is_file():
        _verify(target, target, md5, sha256, size, record)
        return
    resumed = part.exists()
    _receive(url, part, expansion, attempts, pause, timeout)
    try:
        _verify(part, target, md5, sha256, size, record)
    except DataError:
        part.unlink()
        if not resumed:
            raise
        # The beginning may be another version's, from an earlier day: once more, from zero.
        log.warning("%s: wrong content after continuing an older download; starting anew", target.name)
        _receive(url, part, expansion, attempts, pause, timeout)
        try:
            _verify(part, target, md5, sha256, size, record)
        except DataError:
            part.unlink()
            raise
    part.replace(target)


def _record(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _verify(path: Path, target: Path, md5: str | None, sha256: str | None, size: int | None, record: bool) -> None:
    source = "published"
    rid = "delete it and run again" if path == target else "it was not kept"
    if size is not None and _size(path) != size:
        raise DataError(f"{target} is not what was published: it has {_size(path):,} bytes instead of {size:,}; {rid}")
    if md5 is None and sha256 is None:
        if not record:
            return
        kept = _record(target)
        if not kept.exists():
            found = file_digest(path)
            with naming(kept):
                kept.write_text(f"{found}  {target.name}\n", encoding="utf-8")
            log.info("%s: no checksum is published; recorded sha256 %s", target.name, found)
            return
        sha256, source = read_text(kept).partition(" ")[0], f"recorded in {kept.name}"
    for algorithm, expected in (("md5", md5), ("sha256", sha256)):
        found = file_digest(path, algorithm) if expected else None
        if found != expected:
            raise DataError(f"{target} has the wrong checksum: {algorithm} {found}, {source} {expected}; {rid}")


def _receive(url: str, part: Path, expansion: float, attempts: int, pause: float, timeout: float) -> None:
    """Bring ``part`` to its full length; connections that break are taken up again, as long as they bring something."""
    failures, most = 0, _size(part)
    while True:
        try:
            if _receive_once(url, part, expansion, timeout):
                _etag(part).unlink(missing_ok=True)
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as e:
            if e.code < 500 and e.code not in (408, 429):
                raise _Unreachable(f"{url} answers {e.code} {e.reason}") from e
            reason = f"{e.code} {e.reason}"
        except (http.client.HTTPException, OSError) as e:
            if isinstance(e, OSError) and e.errno in _OF_THE_DISK:
                with naming(part):
                    raise
            cause = getattr(e, "reason", None) or e
            reason = str(cause) or type(cause).__name__
            if isinstance(cause, socket.gaierror):  # no network or no such host: waiting does not help
                failures = attempts
        failures = 0 if _size(part) > most else failures + 1
        most = max(most, _size(part))
        if failures >= attempts:
            raise _Unreachable(f"{urllib.parse.urlsplit(url).netloc} cannot be reached ({reason})")
        log.warning("%s: %s at %d bytes; trying again", part.stem, reason, _size(part))
        time.sleep(pause * 2**failures)


def _receive_once(url: str, part: Path, expansion: float, timeout: float) -> bool:
    """One connection; True if the file is whole after it."""
    have = _size(part)
    headers = {"User-Agent": "asrpar", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if _etag(part).exists():  # continue only if it is still the same file there
            headers["If-Range"] = _etag(part).read_text(encoding="utf-8")
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as e:
        if e.code != 416 or not have:
            raise
        total = re.fullmatch(r"bytes \*/(\d+)", e.headers.get("Content-Range", ""))
        if total and int(total[1]) == have:
            return True
        part.unlink()  # longer than the file there: not a beginning of it
        return False
    with response:
        length = response.headers.get("Content-Length")
        remaining = int(length) if length else None
        if response.status == 206:
            begin = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if not begin or int(begin[1]) != have:
                raise http.client.HTTPException("the server continued at another place than asked for")
        else:
            have = 0  # it does not continue downloads
        _check_disk(part, have, remaining, expansion)
        tag = response.headers.get("ETag", "")
        if tag.startswith('"'):  # a weak tag (W/) does not promise the same bytes
            _etag(part).write_text(tag, encoding="utf-8")
        received = 0
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                total=have + remaining if remaining is not None else None,
                initial=have,
                desc=part.stem,
                unit="B",
                unit_scale=True,
                disable=not sys.stderr.isatty(),
            ) as bar,
        ):
            while chunk := response.read1(_CHUNK):
                file.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
    return remaining is None or received == remaining


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _etag(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _check_disk(part: Path, have: int, remaining: int | None, expansion: float) -> None:
    if remaining is None:
        return
    need = remaining + int(expansion * (have + remaining))
    free = shutil.disk_usage(part.parent).free
    if need > free:
        raise DataError(
            f"too little disk for {part.stem}: {need / 1e9:.1f} GB needed (unpacked too), {free / 1e9:.1f} GB free in "
            f"{part.parent}"
        )
