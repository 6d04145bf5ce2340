"""Data that the tests of training share."""

import pytest
from minidata import prepare


@pytest.fixture(scope="session")
def mini(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("mini"))
