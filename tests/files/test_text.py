import gzip

import pytest

from asrpar.config import load_config
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.files.text import read_lines, read_text, text_lines
from asrpar.lang.config import LangConfig


def test_lines_are_numbered_and_blank_ones_left_out(tmp_path):
    (tmp_path / "t").write_bytes("a\r\n\n \nb\u2028c\rd".encode())
    assert text_lines(tmp_path / "t") == [(1, "a"), (4, "b\u2028c"), (5, "d")]
    assert read_text(tmp_path / "t") == "a\n\n \nb\u2028c\nd"


def test_mistakes_name_the_file(tmp_path):
    with pytest.raises(MissingInputError, match=r"t is missing$"):
        read_text(tmp_path / "t")
    with pytest.raises(MissingInputError, match="t is missing: run stage 9"):
        text_lines(tmp_path / "t", "run stage 9")
    (tmp_path / "t").write_bytes(b"a\nb\n\nc \xff\n")
    with pytest.raises(DataError, match=r"t is not UTF-8 text \(line 4, byte 0xff\)"):
        read_text(tmp_path / "t")


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "t"
    path.write_text("lm: {order: 2}\n", encoding="utf-8-sig")
    assert read_text(path).startswith("lm") and text_lines(path) == list(read_lines(path)) == [(1, "lm: {order: 2}")]
    assert load_config(LangConfig, path).lm.order == 2
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_lines(path)) == [(1, "lm: {order: 2}")]
    path.write_bytes(b"\xef\xbb\xbfa\r\n\xef\xbb\xbfb \xef\xbb\xbfc\n")  # two files, one after the other
    assert text_lines(path) == list(read_lines(path)) == [(1, "a"), (2, "b \ufeffc")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lm: 2\n".encode("utf-16"), r"t is UTF-16 text: convert it \(iconv"),
        ("lm: 2\n".encode("utf-16-le"), r"t has a zero byte in line 1: convert it if it is UTF-16"),
        ("x: y\nlm: é\n".encode("latin-1"), r"t is not UTF-8 text \(line 2, byte 0xe9\): convert it \(iconv"),
        (b"BZh91AY&SY", "t is compressed: unpack it"),
    ],
    ids=["utf-16", "utf-16-le", "latin-1", "bz2"],
)
def test_the_cause_is_named_whoever_reads(tmp_path, content, message):
    path = tmp_path / "t"
    path.write_bytes(content)
    for reader in (read_text, text_lines, lambda p: list(read_lines(p))):
        with pytest.raises(DataError, match=message):
            reader(path)
    with pytest.raises(ConfigError, match=message):
        load_config(LangConfig, path)


def test_lines_of_files_of_all_systems(tmp_path):
    for ends in ("\n", "\r\n", "\r"):
        (tmp_path / "t").write_bytes(ends.join(["a", "", "b"]).encode())
        assert list(read_lines(tmp_path / "t")) == [(1, "a"), (2, ""), (3, "b")]
