"""The list of settings: complete, with a word on each, and the page in the docs is current."""

import dataclasses

import pytest
from click.testing import CliRunner

from asrpar.choices import settle
from asrpar.cli import cli
from asrpar.commands.settings import SECTIONS, page, settings_of
from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.settings import meanings


def run(*words):
    result = CliRunner().invoke(cli, ["settings", *words])
    if isinstance(result.exception, ConfigError):
        raise result.exception
    return result.output


@pytest.mark.parametrize("section", SECTIONS)
def test_each_setting_has_a_meaning(section):
    found = list(settings_of(section))
    assert len({s.name for s in found}) == len(found) > 1
    assert [s.name for s in found if not s.meaning] == []


def test_what_is_printed_can_be_set():
    from asrpar.train.config import TrainConfig

    printed = [f"{s.name}={s.default}" for s in settings_of("train")]
    found = load_config(TrainConfig, None, printed)
    settle(found)
    plain = TrainConfig()
    settle(plain)
    assert found == plain


def test_meanings_come_from_docstrings_and_comments():
    @dataclasses.dataclass
    class Parent:
        """Of whom all inherit.

        Attributes:
            a, b: of both,
                in two lines.
        """

        a: int = 1
        b: int = 2

    @dataclasses.dataclass
    class Child(Parent):
        # Above it,
        # in two lines.
        c: str = "#"  # behind it
        # Above.
        d: int = 0
        e: int = 0

    both = "of both, in two lines."
    assert meanings(Child) == {"a": both, "b": both, "c": "behind it", "d": "Above."}


def test_the_page_is_current(repo):
    same = (repo / "docs" / "settings.md").read_text(encoding="utf-8") == page()
    assert same, "a setting or what is said of it has changed: asrpar settings --markdown > docs/settings.md"


def test_the_command_prints_a_section_or_what_a_word_is_in():
    out = run("features", "normalize")
    assert out.startswith("features: asrpar extract-features") and "  normalize=global\n      none | global" in out
    assert "speeds" not in out
    assert "  strategies.bmuf.block_momentum=null" in run("bmuf") and "  optimizers.adamw.lr=0.001" in run("train")
    assert len(run().split("\n\n")) == len(SECTIONS)
    with pytest.raises(ConfigError, match="no setting has 'xyzzy' in its name; sections are features,"):
        run("xyzzy")
    for word, near in (("trian", "train"), ("optimzer", "optimizer"), ("normalise", "normalize")):
        with pytest.raises(ConfigError, match=f"no setting has '{word}' in its name; did you mean '{near}'?"):
            run(word)


@pytest.mark.parametrize("key", ["batch.augment.time_masks", "epochs"])
def test_integers_beyond_64_bits_are_refused(key):
    from asrpar.train.config import TrainConfig

    with pytest.raises(ConfigError, match=f"{key} is 1{'0' * 20}: integers have at most 64 bits"):
        load_config(TrainConfig, None, [f"{key}=1{'0' * 20}"])
