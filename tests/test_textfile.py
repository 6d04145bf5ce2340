import pytest

from asrpar.errors import DataError, MissingInputError
from asrpar.textfile import read_text, text_lines


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
