"""Downloads from a real HTTP server on the loopback: resumed, verified, unpacked safely."""

import hashlib
import http.server
import io
import shutil
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from asrpar.corpus import download
from asrpar.corpus.corpora import librispeech
from asrpar.corpus.download import download_corpus, fetch
from asrpar.corpus.registry import Archive, Corpus
from asrpar.corpus.unpack import content_digest, unpack
from asrpar.errors import AsrparError, DataError
from asrpar.files.lock import BusyError, alone

PAYLOAD = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(PAYLOAD).hexdigest()
SHA256 = hashlib.sha256(PAYLOAD).hexdigest()


@dataclass
class Site:
    """Files by path; how the server misbehaves; what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)  # send only so many bytes, one entry a request
    ranges: bool = True
    etag: bool = True
    busy: int = 0  # answer 503 so often
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.busy:
                state.busy -= 1
                self.send_error(503)
                return
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            begin = 0
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            if wanted and state.ranges and self.headers.get("If-Range", tag) == tag:
                begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if begin >= len(body):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(body)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - begin))
            if state.etag:
                self.send_header("ETag", tag)
            self.end_headers()
            rest = body[begin:]
            if state.cuts:
                self.wfile.write(rest[: state.cuts.pop(0)])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self.wfile.write(rest)

        def log_message(self, *args) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None  # the cut connections are meant
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    state.files["/data.bin"] = PAYLOAD
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def get(site: Site, target: Path, **options) -> None:
    fetch(f"{site.url}/data.bin", target, pause=0.001, **options)


def test_a_whole_file_arrives_once(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "data.bin"
    get(site, target, md5=MD5, sha256=SHA256)
    assert target.read_bytes() == PAYLOAD
    get(site, target, md5=MD5)
    assert site.asked == [None]
    assert [p.name for p in tmp_path.iterdir()] == ["data.bin"]


def test_a_cut_connection_is_continued(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000, 200_000, 0]
    get(site, tmp_path / "data.bin", sha256=SHA256)
    assert (tmp_path / "data.bin").read_bytes() == PAYLOAD
    assert site.asked[0] is None
    assert site.asked[1:] == ["bytes=1000-", "bytes=201000-", "bytes=201000-"]


def test_a_partial_file_of_an_earlier_run_is_continued(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(PAYLOAD[:300_000])
    get(site, tmp_path / "data.bin", md5=MD5)
    assert site.asked == ["bytes=300000-"]


def test_a_partial_file_that_is_whole_already(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(PAYLOAD)
    get(site, tmp_path / "data.bin", md5=MD5)
    assert site.asked == [f"bytes={len(PAYLOAD)}-"]


def test_a_partial_file_that_is_too_long_starts_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(PAYLOAD + b"more")
    get(site, tmp_path / "data.bin", md5=MD5)
    assert (tmp_path / "data.bin").read_bytes() == PAYLOAD


def test_a_partial_file_of_another_version_starts_anew(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"x" * 500)
    get(site, tmp_path / "data.bin", md5=MD5)
    assert (tmp_path / "data.bin").read_bytes() == PAYLOAD
    assert site.asked == ["bytes=500-", None]


def test_a_file_that_changed_on_the_server_is_not_mixed(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000]
    with pytest.raises(AsrparError, match="cannot be reached"):
        get(site, tmp_path / "data.bin", attempts=0)
    site.files["/data.bin"] = PAYLOAD[::-1]
    get(site, tmp_path / "data.bin")  # no checksum known: If-Range alone keeps the versions apart
    assert (tmp_path / "data.bin").read_bytes() == PAYLOAD[::-1]


def test_a_server_without_ranges(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [1000]
    get(site, tmp_path / "data.bin", md5=MD5)
    assert (tmp_path / "data.bin").read_bytes() == PAYLOAD


def test_a_server_that_cuts_for_ever_is_given_up(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [1000] * 50
    with pytest.raises(AsrparError, match="cannot be reached \\(the connection was cut\\)"):
        get(site, tmp_path / "data.bin", md5=MD5, attempts=3)
    assert len(site.asked) <= 6


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.busy = 2
    get(site, tmp_path / "data.bin", md5=MD5)
    assert len(site.asked) == 3


@pytest.mark.parametrize("published", [{"md5": "0" * 32}, {"sha256": "0" * 64}, {"md5": MD5, "sha256": "0" * 64}])
def test_a_wrong_checksum_keeps_nothing(site: Site, tmp_path: Path, published: dict[str, str]) -> None:
    with pytest.raises(DataError, match="wrong checksum"):
        get(site, tmp_path / "data.bin", **published)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_of_an_earlier_run_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(PAYLOAD[:-1])
    with pytest.raises(DataError, match=r"data\.bin has the wrong checksum.*delete it and run again"):
        get(site, tmp_path / "data.bin", md5=MD5)


def test_without_a_published_checksum_the_first_download_counts(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "data.bin"
    get(site, target)
    assert (tmp_path / "data.bin.sha256").read_text() == f"{SHA256}  data.bin\n"
    target.unlink()
    get(site, target)
    target.unlink()
    site.files["/data.bin"] = PAYLOAD[:-1] + b"?"
    with pytest.raises(DataError, match=r"recorded in data.bin.sha256"):
        get(site, target)


def test_no_network_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/data.tar.gz"
    for address in (url, "http://no-such-host.invalid/data.tar.gz"):
        corpus = make_corpus(Archive(urls=(address,), provides=("data",)))
        with pytest.raises(DataError, match=r"cannot download data.tar.gz: .* cannot be reached.*--corpus-dir") as e:
            download_corpus_quickly(corpus, tmp_path)
        assert "\n" not in str(e.value)


def test_a_missing_file_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    with pytest.raises(AsrparError, match="404"):
        fetch(f"{site.url}/other.bin", tmp_path / "other.bin")
    assert len(site.asked) == 1


def test_other_schemes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only http and https"):
        fetch("file:///etc/hostname", tmp_path / "x")


def test_a_corpus_that_is_bought_is_asked_for(tmp_path: Path) -> None:
    corpus = Corpus({}, (), check=lambda folder: None, name="swb")
    with pytest.raises(DataError, match=r"^swb is not downloaded: give the copy you have with --corpus-dir$"):
        download_corpus(corpus, tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_another_size_than_the_published_is_told_without_a_checksum(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"it has 1,048,576 bytes instead of 1,048,577; it was not kept"):
        get(site, tmp_path / "data.bin", size=len(PAYLOAD) + 1)
    assert list(tmp_path.iterdir()) == []
    get(site, tmp_path / "data.bin", size=len(PAYLOAD), md5=MD5)


def test_too_little_disk_for_all_archives_is_found_before_the_first(site: Site, tmp_path: Path) -> None:
    archives = [
        Archive(urls=(f"{site.url}/{n}.tar.gz",), provides=(f"{n}/wav",), md5=MD5, size=10**15) for n in ("a", "b")
    ]
    with pytest.raises(DataError, match=r"too little disk for what is asked for: 4200000\.0 GB needed"):
        download_corpus_quickly(make_corpus(*archives), tmp_path)
    with pytest.raises(DataError, match=r"3200000\.0 GB needed"):
        download_corpus_quickly(make_corpus(*archives), tmp_path, remove_archives=True)
    assert not site.asked


def test_too_little_disk_is_found_before_the_download(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"too little disk for data.bin"):
        get(site, tmp_path / "data.bin", expansion=1e9)


# ---- archives


def make_tar(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "members",
    [
        {"/absolute.txt": b"x"},
        {"../outside.txt": b"x"},
        {"data/../../outside.txt": b"x"},
        {"data/link": special(tarfile.SYMTYPE, "/etc/passwd")},
        {"data/link": special(tarfile.SYMTYPE, "../../outside")},
        {"data/link": special(tarfile.LNKTYPE, "../outside")},
        {"link": special(tarfile.SYMTYPE, ".."), "link/outside.txt": b"x"},
        {"data/pipe": special(tarfile.FIFOTYPE)},
        {"data/device": special(tarfile.CHRTYPE)},
    ],
    ids=["absolute", "dots", "hidden-dots", "link-to-root", "link-out", "hard-link", "through-link", "fifo", "device"],
)
def test_a_malicious_archive_writes_nothing(tmp_path: Path, members: dict) -> None:
    archive = tmp_path / "evil.tar.gz"
    archive.write_bytes(make_tar({"data/fine.txt": b"fine"} | members))
    target = tmp_path / "deep" / "target"
    with pytest.raises(DataError, match="refused"):
        unpack(archive, target)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["deep", "evil.tar.gz", "target"]


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.98])
def test_a_damaged_archive_leaves_the_target_as_it_was(tmp_path: Path, keep: float) -> None:
    whole = make_tar({"data/a.bin": hashlib.sha512(b"1").digest() * 3000, "data/b.bin": PAYLOAD})
    archive = tmp_path / "cut.tar.gz"
    archive.write_bytes(whole[: int(len(whole) * keep) if isinstance(keep, float) else keep])
    (tmp_path / "target").mkdir()
    with pytest.raises(DataError, match=r"is damaged.*delete it and run again"):
        unpack(archive, tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_flipped_byte_leaves_the_target_as_it_was(tmp_path: Path, mode: str) -> None:
    noise = b"".join(hashlib.sha512(bytes([n])).digest() for n in range(256)) * 8
    whole = bytearray(make_tar({"data/a.bin": noise}, mode))
    whole[len(whole) // 2] ^= 0xFF
    archive = tmp_path / "flipped.tar"
    archive.write_bytes(whole)
    with pytest.raises(DataError, match="is damaged"):
        unpack(archive, tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_archives_of_one_corpus_merge(tmp_path: Path) -> None:
    for part in ("one", "two"):
        archive = tmp_path / f"{part}.tar"
        archive.write_bytes(make_tar({f"Libri/{part}/a.txt": part.encode(), "Libri/README": part.encode()}, "w"))
        unpack(archive, tmp_path / "target")
    found = sorted(p.relative_to(tmp_path / "target").as_posix() for p in (tmp_path / "target").rglob("*.*"))
    assert found == ["Libri/one/a.txt", "Libri/two/a.txt"]
    assert (tmp_path / "target" / "Libri" / "README").read_text() == "two"


def test_content_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "wav" / "Z").mkdir(parents=True)
    (tmp_path / "wav" / "a.wav").write_bytes(b"1")
    (tmp_path / "wav" / "Z" / "b.wav").write_bytes(b"2")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "list").write_bytes(b"")
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("etc/list", b""), ("wav/Z/b.wav", b"2"), ("wav/a.wav", b"1"))
    )
    assert content_digest(tmp_path, ("wav", "etc")) == hashlib.sha256(lines.encode()).hexdigest()


# ---- whole corpora


def make_corpus(*archives: Archive, home: str = ".") -> Corpus:
    def check(path: Path) -> None:
        if not (path / "wav").is_dir():
            raise DataError("no wav folder")

    return Corpus(name="toy", parts={"all": archives}, default_parts=("all",), check=check, prepare=None, home=home)


def download_corpus_quickly(corpus: Corpus, output: Path, **options) -> Path:
    original = download._receive
    try:
        download._receive = lambda url, part, expansion, attempts, pause, timeout: original(
            url, part, expansion, 2, 0.001, timeout
        )
        return download_corpus(corpus, output, **options)
    finally:
        download._receive = original


def test_a_corpus_is_downloaded_unpacked_and_found_again(site: Site, tmp_path: Path) -> None:
    body = make_tar({"toy-abc123/wav/a.wav": PAYLOAD, "toy-abc123/etc/list": b"a\n"})
    site.files["/toy.tar.gz"], site.cuts = body, [100]
    (tmp_path / "reference" / "wav").mkdir(parents=True)
    (tmp_path / "reference" / "wav" / "a.wav").write_bytes(PAYLOAD)
    archive = Archive(
        urls=(f"{site.url}/gone.tar.gz", f"{site.url}/toy.tar.gz"),
        provides=("toy/wav", "toy/etc"),
        content=(content_digest(tmp_path / "reference", ("wav",)), ("wav",)),
        rename=("toy-abc123", "toy"),
        name="toy.tar.gz",
    )
    corpus = make_corpus(archive, home="toy")
    home = download_corpus_quickly(corpus, tmp_path / "dl")
    assert home == tmp_path / "dl" / "toy"
    assert (home / "wav" / "a.wav").read_bytes() == PAYLOAD
    # The content is what is checked: the archive may be packed anew tomorrow.
    assert not (tmp_path / "dl" / "toy.tar.gz.sha256").exists()
    requests = len(site.asked)
    assert download_corpus_quickly(corpus, tmp_path / "dl") == home
    assert len(site.asked) == requests


def test_parts_of_librispeech_over_a_connection_that_breaks_off(site: Site, tmp_path: Path) -> None:
    parts = {}
    for name in ("train-clean-100", "dev-clean"):
        body = make_tar({f"LibriSpeech/{name}/1/2/1-2.trans.txt": name.encode(), "LibriSpeech/SPEAKERS.TXT": PAYLOAD})
        site.files[f"/{name}.tar.gz"] = body
        published = librispeech.CORPUS.parts[name][0]
        sums = {"md5": hashlib.md5(body).hexdigest(), "sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
        parts[name] = (replace(published, urls=(f"{site.url}/{name}.tar.gz",), **sums),)
    corpus = replace(librispeech.CORPUS, name="librispeech", parts=parts, default_parts=tuple(parts))
    site.cuts = [10**9, 300, 0, 0, 0]  # the first comes whole, of the second a beginning
    with pytest.raises(DataError, match=r"cannot download dev-clean\.tar\.gz: .*the connection was cut"):
        download_corpus_quickly(corpus, tmp_path)
    assert (tmp_path / "LibriSpeech/train-clean-100").is_dir() and not (tmp_path / "LibriSpeech/dev-clean").exists()
    site.cuts.clear(), site.asked.clear()
    assert download_corpus_quickly(corpus, tmp_path) == tmp_path
    assert site.asked == ["bytes=300-"]
    assert (tmp_path / "LibriSpeech/dev-clean/1/2/1-2.trans.txt").read_text() == "dev-clean"
    shutil.rmtree(tmp_path / "LibriSpeech/dev-clean")
    (tmp_path / "dev-clean.tar.gz").write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError, match=r"dev-clean\.tar\.gz is not what was published: it has 26 bytes instead of"):
        download_corpus_quickly(corpus, tmp_path)


def test_wrong_content_is_refused(site: Site, tmp_path: Path) -> None:
    site.files["/toy.tar.gz"] = make_tar({"toy/wav/a.wav": b"other"})
    archive = Archive(urls=(f"{site.url}/toy.tar.gz",), provides=("toy/wav",), content=("0" * 64, ("wav",)))
    with pytest.raises(DataError, match="does not hold what it should"):
        download_corpus_quickly(make_corpus(archive, home="toy"), tmp_path)
    assert not (tmp_path / "toy").exists()


def test_no_record_of_an_archive_that_is_no_good(site: Site, tmp_path: Path) -> None:
    archive = Archive(urls=(f"{site.url}/toy.tar.gz",), provides=("toy/wav",))
    for bad in (b"no archive", make_tar({"toy/etc/list": b""})):
        site.files["/toy.tar.gz"] = bad
        with pytest.raises(DataError, match="delete it and run again"):
            download_corpus_quickly(make_corpus(archive, home="toy"), tmp_path)
        (tmp_path / "toy.tar.gz").unlink()
    site.files["/toy.tar.gz"] = make_tar({"toy/wav/a.wav": PAYLOAD})
    download_corpus_quickly(make_corpus(archive, home="toy"), tmp_path)
    assert (tmp_path / "toy.tar.gz.sha256").exists()


def test_archives_are_removed_on_request(site: Site, tmp_path: Path) -> None:
    site.files["/toy.tar.gz"] = make_tar({"wav/a.wav": b"x"})
    archive = Archive(urls=(f"{site.url}/toy.tar.gz",), provides=("wav",))
    download_corpus_quickly(make_corpus(archive), tmp_path, remove_archives=True)
    assert not (tmp_path / "toy.tar.gz").exists()


def test_a_plain_file_is_put_in_place(site: Site, tmp_path: Path) -> None:
    archive = Archive(urls=(f"{site.url}/data.bin",), provides=("wav/data.bin",), sha256=SHA256, unpack=False)
    download_corpus_quickly(make_corpus(archive), tmp_path)
    assert (tmp_path / "wav" / "data.bin").read_bytes() == PAYLOAD


def test_two_downloads_into_one_folder_do_not_mix(site: Site, tmp_path: Path) -> None:
    archive = Archive(urls=(f"{site.url}/data.bin",), provides=("wav/data.bin",), unpack=False)
    with (
        alone(tmp_path, ".download.lock"),
        pytest.raises(BusyError, match="is being written by"),
    ):
        download_corpus_quickly(make_corpus(archive), tmp_path)
