import os
import pty
import re
import socket
import stat
import threading

import pytest

from asrpar.errors import ConfigError
from asrpar.files.replacing import check_replaceable, replacing, replacing_folder, replacing_text


def write(path, text="new\n"):
    with replacing(path) as temporary:
        temporary.write_text(text)


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "there").mkdir()
    link, chain, target = tmp_path / "link", tmp_path / "chain", tmp_path / "there" / "file"
    link.symlink_to("there/file")
    chain.symlink_to("link")
    write(chain)  # what a dangling link points to is made
    assert target.read_text() == "new\n"
    write(link, "newer\n")
    assert target.read_text() == "newer\n" and link.is_symlink() and chain.is_symlink() and not target.is_symlink()
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["file"]
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"symbolic links: .*/a'"):
        write(tmp_path / "a")


def test_a_fifo_and_a_terminal_are_written_to(tmp_path):
    fifo, link, got = tmp_path / "fifo", tmp_path / "link", []
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    for path in (fifo, link):
        reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
        reader.start()
        write(path)
        reader.join()
    assert got == ["new\n", "new\n"] and stat.S_ISFIFO(fifo.lstat().st_mode) and link.is_symlink()
    ours, theirs = pty.openpty()
    write(os.ttyname(theirs))
    assert os.read(ours, 100) == b"new\r\n"
    os.close(ours), os.close(theirs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fifo", "link"]


def test_a_device_is_written_to(tmp_path):
    sink, full = tmp_path / "null", tmp_path / "full"
    try:
        os.mknod(sink, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        sink.write_text("")
    except OSError:
        pytest.skip("devices can be made by root only, and not everywhere")
    write(sink)
    with pytest.raises(OSError, match=rf"No space left on device: '{full}'"):
        write(full)
    assert stat.S_ISCHR(sink.lstat().st_mode) and stat.S_ISCHR(full.lstat().st_mode)


def test_an_open_file_gets_it_at_its_end(tmp_path):
    """As with --markdown /dev/stdout in a shell that sends the output to a file."""
    with (tmp_path / "out").open("w+") as out:
        out.write("table\n")
        out.flush()
        write(f"/proc/self/fd/{out.fileno()}")
        (tmp_path / "link").symlink_to(f"/dev/fd/{out.fileno()}")
        write(tmp_path / "link", "more\n")
        out.seek(0)
        assert out.read() == "table\nnew\nmore\n"


def test_a_socket_that_is_open_here_is_written_to(tmp_path):
    """As stdout is, where sshd has started the command."""
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_UNIX) as named:
        write(f"/proc/self/fd/{theirs.fileno()}")
        assert ours.recv(100) == b"new\n"
        named.bind(str(tmp_path / "named"))
        with pytest.raises(OSError, match=r"No such device or address: .*named"):
            write(tmp_path / "named")


def test_permissions_stay(tmp_path):
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)
    path.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    owner = (path.stat().st_uid, path.stat().st_gid)
    write(path, "newer\n")
    found = path.stat()
    assert (stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)) == (0o604, owner)


def test_nobody_elses_file_is_in_the_way(tmp_path):
    path, foreign = tmp_path / "x", tmp_path / "x.tmp"
    foreign.write_text("mine")
    (tmp_path / ".x.tmp").write_text("left by a killed process")
    with replacing(path) as first, replacing(path) as second:
        assert first != second and first.read_text() == ""
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and foreign.read_text() == "mine"
    (tmp_path / ".x.tmp").symlink_to(foreign)
    write(path)
    assert foreign.read_text() == "mine" and path.read_text() == "new\n" and not path.is_symlink()
    (tmp_path / ".x.tmp").unlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "x.tmp"]


def test_a_failure_leaves_nothing_and_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(SystemExit), replacing(path) as temporary:
        temporary.write_text("half")
        raise SystemExit(143)
    for wrong, match in ((tmp_path, f"Is a directory: '{tmp_path}'"), (tmp_path / "no" / "x", r"No such .*/no/x'")):
        with pytest.raises(OSError, match=match):
            write(wrong)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write to everything
    with pytest.raises(PermissionError, match=f"Permission denied: '{path}'"):
        write(path)
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    folder, link = tmp_path / "made", tmp_path / "link"
    link.symlink_to("made")
    (tmp_path / ".made.new").mkdir()
    (tmp_path / ".made.new" / "left").touch()  # by one that was killed
    for name in ("first", "second"):
        with replacing_folder(link) as fresh:
            (fresh / name).touch()
        assert [p.name for p in folder.iterdir()] == [name]
    with pytest.raises(ValueError, match="no"), replacing_folder(folder) as fresh:
        (fresh / "third").touch()
        raise ValueError("no")
    with pytest.raises(OSError, match="full") as caught, replacing_folder(folder):
        raise OSError(28, "the disk is full")
    assert caught.value.filename == str(folder)
    assert [p.name for p in folder.iterdir()] == ["second"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "made"] and link.is_symlink()


def test_what_is_no_folder_or_somebody_elses_is_not_replaced(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(NotADirectoryError), replacing_folder(file):
        pass
    assert file.read_text() == "mine" and os.listdir(tmp_path) == ["file"]
    own = re.compile("a|b")
    check_replaceable(tmp_path / "nowhere", own, "letters")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    check_replaceable(tmp_path / "out", own, "letters")
    (tmp_path / "out" / ".c").touch()
    with pytest.raises(ConfigError, match=r"out holds something else than letters \(\.c\)"):
        check_replaceable(tmp_path / "out", own, "letters")


def test_text_is_utf_8(tmp_path):
    with replacing_text(tmp_path / "x") as file:
        file.write("é\n")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").read_bytes() == "é\n".encode()
