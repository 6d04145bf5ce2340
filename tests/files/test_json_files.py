import json

import pytest

from asrpar.errors import DataError
from asrpar.files.json_files import read_json, read_json_if_any, write_json


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "facts.json"
    write_json(path, {"wer": float("nan"), "name": "é", "command": "asrpar \udc80", "parts": [1, float("inf")]})
    assert read_json(path) == {"wer": None, "name": "é", "command": "asrpar \udc80", "parts": [1, None]}
    assert "é" in path.read_text()
    with pytest.raises(TypeError):
        write_json(path, {"wer": object()})
    assert read_json(path)["name"] == "é"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["{", "[1]", "", b"\xff"])
def test_what_is_no_object(tmp_path, text):
    path = tmp_path / "facts.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=r"facts\.json is no JSON.*run the stage that makes it again"):
        read_json(path)
    assert read_json_if_any(path) == {}
    assert read_json_if_any(path / "below") == {} == read_json_if_any(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing")
    path.write_text(json.dumps({"a": 1}))
    assert read_json(path) == {"a": 1}
