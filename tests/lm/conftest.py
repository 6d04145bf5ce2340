from functools import partial

import pytest
from languages import make_lang


@pytest.fixture
def make(tmp_path):
    """make(texts, dev=(), **settings) -> Lang, in tmp_path/lang; see `make_lang`."""
    return partial(make_lang, tmp_path)
