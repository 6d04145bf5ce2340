"""The list of settings: complete, with a word on each, and the page in the docs is current."""

import dataclasses

import pytest
from click.testing import CliRunner

from asrpar.choices import settle
from asrpar.cli import cli
from asrpar.config import load_config
from asrpar.errors import ConfigError
from asrpar.settings import SECTIONS, groups, meanings, page


def run(*words):
    result = CliRunner().invoke(cli, ["help", *words])
    if isinstance(result.exception, ConfigError):
        raise result.exception
    return result.output


def all_settings(section):
    return [setting for group in groups(section) for setting in group.settings]


@pytest.mark.parametrize("section", SECTIONS)
def test_each_setting_and_each_choice_has_a_meaning(section):
    found = all_settings(section)
    assert len({s.name for s in found}) == len(found)
    assert [s.name for s in found if not s.meaning] == []
    assert [g.title for g in groups(section) if not g.text] == []


def test_what_is_printed_can_be_set():
    from asrpar.train.config import TrainConfig

    found = load_config(TrainConfig, None, [f"{s.name}={s.default}" for s in all_settings("train")])
    settle(found)
    plain = TrainConfig()
    settle(plain)
    assert found == plain


def test_meanings_come_from_docstrings():
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
        """One.

        Attributes:
            b: another word: of the child.
            c: the last.
        """

        b: int = 3
        c: str = "#"
        d: int = 0  # comments do not count

    assert meanings(Child) == {"a": "of both, in two lines.", "b": "another word: of the child.", "c": "the last."}


def test_the_page_is_current(repo):
    same = (repo / "docs" / "settings.md").read_text(encoding="utf-8") == page()
    assert same, "a setting or what is said of it has changed: asrpar help settings --markdown > docs/settings.md"


def test_settings_of_a_section_or_what_a_word_is_in():
    out = run("settings", "features", "normalize")
    assert out.startswith("features: asrpar extract-features") and "  normalize=global\n      none | global" in out
    assert "speeds" not in out
    out = run("settings", "bmuf")
    assert out.startswith("train, strategy bmuf: ") and "  strategies.bmuf.block_momentum=null" in out
    assert "\n\ntrain, loss ctc: " in run("settings", "train", "loss")
    assert "corpora, corpus an4: " in run("settings", "corpus")
    for word, near in (("trian", "train"), ("optimzer", "optimizer"), ("normalise", "normalize"), ("bmfu", "bmuf")):
        with pytest.raises(ConfigError, match=f"setting '{word}' is unknown; did you mean '{near}'"):
            run("settings", word)


def test_help_of_commands():
    assert run() == CliRunner().invoke(cli, ["--help"]).output
    assert run("train").startswith("Usage: ") and "--allow-learner-change" in run("train")
    with pytest.raises(ConfigError, match="command 'trian' is unknown; did you mean 'train'"):
        run("trian")


@pytest.mark.parametrize("key", ["batch.augment.time_masks", "epochs"])
def test_integers_beyond_64_bits_are_refused(key):
    from asrpar.train.config import TrainConfig

    with pytest.raises(ConfigError, match=f"{key} is 1{'0' * 20}: integers have at most 64 bits"):
        load_config(TrainConfig, None, [f"{key}=1{'0' * 20}"])


def test_train_lists_what_can_be_chosen():
    result = CliRunner().invoke(cli, ["train", "--list", "strategies"])
    assert result.exit_code == 0 and "bmuf             Blockwise model-update filtering" in result.output
    result = CliRunner().invoke(cli, ["train", "--list", "modles"])
    assert "kind 'modles' is unknown; did you mean 'models'?" in str(result.exception)
