import pytest

from asrpar.errors import ConfigError, MissingInputError
from asrpar.lang.places import Places


def test_where_files_are_looked_for(tmp_path, monkeypatch):
    for name in ("corpus", "conf", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    places = Places(str(tmp_path / "corpus"), (str(tmp_path / "conf"),))
    with pytest.raises(MissingInputError, match=r"phones.lexicon: no file .*corpus/l or .*conf/l or l"):
        places.find("l", "unit_settings.phones.lexicon")
    for name in ("here", "conf", "corpus"):
        (tmp_path / name / "l").touch()
        assert places.find("l", "x").resolve() == tmp_path / name / "l"
    assert places.find("{corpus_dir}/l", "x") == tmp_path / "corpus/l"
    assert places.find(str(tmp_path / "here/l"), "x") == tmp_path / "here/l"
    with pytest.raises(ConfigError, match="needs --corpus-dir"):
        Places().find("{corpus_dir}/l", "x")
