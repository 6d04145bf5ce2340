"""What the tests of utils/ share."""

import pytest


@pytest.fixture
def utils(repo):
    return repo / "utils"
