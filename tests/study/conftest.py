"""Studies of formulas, and features to really train on."""

import pytest
from minidata import prepare
from toy_study import Study


@pytest.fixture
def make_study(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    return Study(tmp_path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The whole study of STUDY; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        made = Study(tmp_path_factory.mktemp("formulas"))
        patch.setenv("FAKE_CALLS", str(made.calls))
        assert made.load().run(jobs=4) == {}
        yield made


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("mini"))
