"""Choosing by name: families found by being there, their settings, and what is said of wrong names and values."""

import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from asrpar import choices
from asrpar.choices import Family
from asrpar.config import load_config, save_config
from asrpar.errors import ConfigError

FAST = '''
"""Fast, but not good.

More of it.
"""
from dataclasses import dataclass
from asrpar.rules import positive

@dataclass
class Settings:
    """Settings.

    Attributes:
        speed: in m/s.
        name: as you like.
    """

    speed: float = 1.0
    name: str | None = None

    def validate(self):
        positive(self, "speed")

class Car:
    pass
'''


@pytest.fixture
def cars(tmp_path, monkeypatch):
    """A family of two choices and one file that is none; `slow` cannot even be imported."""
    package = tmp_path / "cars"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "fast.py").write_text(textwrap.dedent(FAST))
    (package / "slow.py").write_text('"""Slow."""\nimport no_such_library\nclass Settings:\n    pass\n')
    (package / "wheels.py").write_text("class WheelSettings:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(choices, "PACKAGES", tmp_path)
    yield Family("cars", "car", "Car")
    for name in [n for n in sys.modules if n.split(".")[0] == "cars"]:
        del sys.modules[name]


def test_names_and_help_import_nothing(cars):
    assert list(cars) == ["fast", "slow"]
    assert "fast" in cars and "wheels" not in cars
    assert cars.help("fast") == "Fast, but not good."
    assert "cars" not in sys.modules


def test_class_and_settings(cars):
    assert cars.load("fast").__name__ == "Car"
    assert cars.settings("fast", {"fast": {"speed": 3}}).speed == 3.0
    assert cars.settings("fast", {}).speed == 1.0
    assert cars.settings("fast", {"fast": {"name": "a: b # c"}}).name == "a: b # c"


@pytest.mark.parametrize(
    ("name", "blocks", "message"),
    [
        ("fats", {}, r"car 'fats' is unknown; did you mean 'fast'\?"),
        ("FAST", {}, r"car 'FAST' is unknown; did you mean 'fast'\?"),
        ("xyz", {}, r"car 'xyz' is unknown; known: fast, slow"),
        ("fast", {"fsat": {}}, r"car 'fsat' is unknown; did you mean 'fast'\?"),
        ("fast", {"fast": {"sped": 1}}, r"key 'cars\.fast\.sped' is unknown; did you mean 'cars\.fast\.speed'\?"),
        ("fast", {"fast": {"speed": "x"}}, r"cars\.fast\.speed: "),
        ("fast", {"fast": {"speed": 0}}, r"^cars\.fast\.speed is 0\.0: it must be greater than 0"),
        ("fast", {"fast": 7}, r"cars\.fast must be 'key: value' lines, not 7"),
    ],
)
def test_mistakes_get_one_clear_line(cars, name, blocks, message):
    with pytest.raises(ConfigError, match=message) as e:
        cars.settings(name, blocks)
    assert "\n" not in str(e.value)


def test_a_configuration_chooses_and_is_checked_where_it_is_loaded(cars, tmp_path):
    family = cars

    @dataclass
    class Config:
        car: str = field(default="fast", metadata=family.chosen)
        cars: dict[str, Any] = field(default_factory=dict)

    found = load_config(Config, None, ["cars.fast.speed=2"])
    save_config(found, tmp_path / "config.yaml")
    assert load_config(Config, tmp_path / "config.yaml") == found
    with pytest.raises(ConfigError, match="did you mean 'fast'"):
        load_config(Config, None, ["car=fasst"])
    (tmp_path / "wrong.yaml").write_text("cars:\n  fast: {sped: 1}\n")
    with pytest.raises(ConfigError, match=r"wrong\.yaml: key 'cars\.fast\.sped' is unknown; did you mean"):
        load_config(Config, tmp_path / "wrong.yaml")
    with pytest.raises(ConfigError, match=r"--set cars\.fats\.speed=1: car 'fats' is unknown; did you mean 'fast'"):
        load_config(Config, None, ["cars.fats.speed=1"])
    with pytest.raises(ConfigError, match=r"cars\.fast\.speed is -1\.0"):
        load_config(Config, None, ["cars.fast.speed=-1"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cars: fast", r"cars must be 'key: value' lines, not 'fast'"),
        ("cars:", r"cars must be 'key: value' lines, not null"),
        ("cars: [fast]", r"cars must be 'key: value' lines, not \['fast'\]"),
        ("cars: {fast: [speed]}", r"cars\.fast must be 'key: value' lines, not \['speed'\]"),
        ("cars: {fast: {speed: [1]}}", r"cars\.fast\.speed must be one value, not \[1\]"),
        ("cars: {fast: {speed: {a: 1}}}", r"cars\.fast\.speed must be one value, not \{'a': 1\}"),
        ("car: [fast]", r"car must be one value, not \['fast'\]"),
        ("wheels: {a: 1}", r"wheels must be a list, not \{'a': 1\}"),
        ("wheels: 4", r"wheels must be a list, not 4"),
        ("rows: {a: [1]}\n", r"Cannot merge incompatible container types"),
        ("cars: ${none}", r"Interpolation key 'none' not found"),
    ],
)
def test_lists_and_lines_in_each_others_place(cars, tmp_path, text, message):
    family = cars

    @dataclass
    class Config:
        car: str = field(default="fast", metadata=family.chosen)
        cars: dict[str, Any] = field(default_factory=dict)
        wheels: list[int] = field(default_factory=list)
        rows: dict[str, Any] = field(default_factory=lambda: {"a": {"b": 1}})

    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"c\.yaml: .*{message}") as e:
        load_config(Config, path)
    assert "\n" not in str(e.value)
    path.write_text("cars: {fast: }")  # a name without settings
    assert load_config(Config, path).cars == {"fast": None}


def test_listing_strategies_is_light():
    code = """
import sys
from asrpar.choices import Family
family = Family("asrpar.parallel.strategies", "strategy", "Algorithm")
assert "bmuf" in family and "base" not in family and family.help("bmuf") and family.plural == "strategies"
assert "torch" not in sys.modules and "omegaconf" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_text_in_a_block_stays_as_it_is(cars):
    family = cars

    @dataclass
    class Config:
        car: str = field(default="fast", metadata=family.chosen)
        cars: dict[str, Any] = field(default_factory=dict)

    for text in ("a: b", "x # y", "[x]", "{x}", "|x"):
        assert load_config(Config, None, [f"cars.fast.name={text}"]).cars == {"fast": {"name": text}}


def test_a_key_that_has_moved_is_told_by_its_new_name():
    @dataclass
    class Inner:
        kind: str = ""
        MOVED: ClassVar[dict[str, str]] = {"sort": "kind"}

    @dataclass
    class Config:
        size: int = 1
        inner: Inner = field(default_factory=Inner)
        MOVED: ClassVar[dict[str, str]] = {"big.size": "size", "big": "inner"}

    for given, message in (
        ("big.size=2", "'big.size' is now 'size'"),
        ("big.other=2", "'big' is now 'inner'"),
        ("big=2", "'big' is now 'inner'"),
        ("inner.sort=a", r"'inner\.sort' is now 'inner\.kind'"),
    ):
        with pytest.raises(ConfigError, match=f"--set {given}: {message}"):
            load_config(Config, None, [given])
    assert load_config(Config, None, ["inner.kind=a"]).inner.kind == "a"


def test_a_choice_is_a_name_and_no_section(cars):
    family = cars

    @dataclass
    class Config:
        car: str = field(default="fast", metadata=family.chosen)
        cars: dict[str, Any] = field(default_factory=dict)

    with pytest.raises(ConfigError, match=r"--set car\.speed=2: car is a name: settings of it go into cars\.NAME"):
        load_config(Config, None, ["car.speed=2"])


def test_the_page_on_extending_has_every_family_and_files_that_are_there(repo):
    from importlib import import_module

    from asrpar.choices import families
    from asrpar.settings import SECTIONS

    told = {}
    for line in (repo / "docs" / "extending.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip(" `") for cell in line.split("|")]
        if len(cells) == 7 and cells[2].startswith("asrpar/"):
            folder, contract, examples = cells[2], cells[4], cells[5].split("`, `")
            assert (repo / contract).is_file() and all((repo / folder / e).is_file() for e in examples)
            told[folder.replace("/", ".")] = cells[3].partition("`")[0]
    found = {}
    for path, _ in SECTIONS.values():
        module, _, name = path.rpartition(".")
        one = getattr(import_module(module), name)
        chosen = [one] if isinstance(one, Family) else [family for _, _, family in families(one())]
        found |= {family.package: family.thing for family in chosen}
    assert told == found
