"""Choosing by name: strategies, models, losses, optimizers, engines, launchers and the like.

A *family* is a package; each module in it that has a `Settings` is a *choice*, called after its file. A new choice is
one new file, and no table knows of it. The file looks like this (a family says what its class is called):

    '''The largest elements: deep gradient compression, Lin et al. 2018.      <- the line of help

    More for whoever reads the file.
    '''

    @dataclass
    class Settings:
        '''Settings of top-k compression.

        Attributes:
            density: fraction of the elements that are sent, in (0, 1].
        '''

        density: float = 0.01

        def validate(self) -> None:                     # may be left out
            need(self, "density", 0 < self.density <= 1, "is above 0 and up to 1")   # asrpar.rules

    class Compression:
        ...

The package's ``__init__`` (or whoever owns the setting) declares the family once, and the settings that choose and
configure it are fields of a dataclass:

    COMPRESSIONS = Family("asrpar.parallel.compress", "compression", "Compression")

    @dataclass
    class TrainConfig:
        compression: str = field(default="none", metadata=COMPRESSIONS.chosen)  # compression: topk
        compressions: dict[str, Any] = field(default_factory=dict)              # compressions: {topk: {density: 0.1}}

`load_config` then checks the name and all blocks, with the nearest known name or key in the error, and calls every
`validate`. Who uses the choice writes

    made = COMPRESSIONS.make(config, ...)      # Compression(settings, ...)
    settings = COMPRESSIONS.of(config)         # the settings alone

Names are read from the folder, help lines from the files' text: neither imports a choice. Its module, and with it torch
or what else it needs, is imported when its settings or its class are asked for.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from asrpar.config import check, from_values
from asrpar.errors import ConfigError
from asrpar.names import unknown

# Where packages lie: asking Python would import them.
PACKAGES = Path(__file__).parent.parent


class Family:
    """Choices of one kind.

    Args:
        package: that holds one module a choice, such as ``asrpar.nn.models``.
        key: the setting that names the one in use, such as ``model``.
        thing: what a module's class is called, such as ``Model``.
        plural: the setting with blocks of settings by name; ``key`` and an s when empty.
        mark: what makes a module a choice: it defines this name. Corpora and the like have no settings.

    Attributes:
        has_settings: whether its choices have any.
        chosen: metadata of the dataclass field ``key``; a field ``plural`` beside it holds the blocks.

    Iterating gives the names, sorted.
    """

    def __init__(self, package: str, key: str, thing: str, plural: str = "", mark: str = "Settings") -> None:
        self.package, self.key, self.thing = package, key, thing
        self.plural = plural or (f"{key[:-1]}ies" if key.endswith("y") else f"{key}s")
        self.chosen = {"family": self}
        self.has_settings = mark == "Settings"
        self._mark = re.compile(rf"^(class )?{mark}\b", re.MULTILINE)

    @cached_property
    def _files(self) -> dict[str, Path]:
        folder = PACKAGES.joinpath(*self.package.split("."))
        found = {path.stem: path for path in sorted(folder.glob("*.py"))}
        # Files that help the choices lie beside them.
        return {name: p for name, p in found.items() if self._mark.search(p.read_text("utf-8"))}

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def complete(self, context: Any, option: Any, begun: str) -> list[str]:
        """Names that begin so: ``shell_complete`` of click's options."""
        return [name for name in self if name.startswith(begun)]

    def help(self, name: str) -> str:
        """The first line of the module's docstring."""
        self.check_name(name)
        text = ast.get_docstring(ast.parse(self._files[name].read_text("utf-8"))) or ""
        return text.split("\n", 1)[0]

    def check_name(self, name: str) -> None:
        """Raise `ConfigError`, with the nearest known name, if there is no such choice."""
        if name not in self._files:
            raise unknown(self.key, name, self)

    def module(self, name: str) -> ModuleType:
        """The module of a choice, imported; `ConfigError` if there is none of that name."""
        self.check_name(name)
        return import_module(f"{self.package}.{name}")

    def load(self, name: str) -> Any:
        """The class (or what else a module has under the family's name for it) of a choice."""
        return getattr(self.module(name), self.thing)

    def settings_class(self, name: str) -> type:
        """The dataclass of a choice's settings."""
        return self.module(name).Settings

    def settings(self, name: str, blocks: dict[str, Any] | None = None) -> Any:
        """The checked settings of choice ``name``, from its block if it has one.

        Args:
            name: of the choice in use.
            blocks: settings by name of a choice, ``{name: {key: value}}``; others than ``name`` may be among them, and
                their keys are checked, too.

        Raises:
            ConfigError: an unknown name or key (the nearest known one is in the message), or a value that cannot be.
        """
        chosen = self.settings_class(name)()
        for other, block in (blocks or {}).items():
            self.check_name(other)
            where = f"{self.plural}.{other}"
            if block is not None and not isinstance(block, dict):
                raise ConfigError(f"{where} must be 'key: value' lines, not {block!r}")
            loaded = from_values(self.settings_class(other), block or {}, f"{where}.")
            if other == name:
                chosen = loaded
        self.check(name, chosen)
        return chosen

    def of(self, config: Any) -> Any:
        """The checked settings of the choice that the fields `key` and `plural` of a dataclass make."""
        return self.settings(getattr(config, self.key), getattr(config, self.plural, None))

    def make(self, config: Any, *args: Any, **kwargs: Any) -> Any:
        """What the choice of a dataclass is called with: its checked settings, and these arguments."""
        return self.load(getattr(config, self.key))(self.of(config), *args, **kwargs)

    def check(self, name: str, settings: Any) -> None:
        """Raise `ConfigError` for values of a choice's settings that cannot be."""
        check(settings, f"{self.plural}.{name}.")


def families(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, "Family"]]:
    """The choices in a dataclass and its sections: what stands in front of their keys, their section, their family."""
    for f in fields(config):
        value = getattr(config, f.name)
        if is_dataclass(value):
            yield from families(value, f"{prefix}{f.name}.")
        elif (family := f.metadata.get("family")) and hasattr(config, family.plural):
            yield prefix, config, family


def choices_of(config: Any) -> dict[str, str]:
    """What is chosen in a dataclass and its sections, by the key of the blocks: ``{"strategies.": "bmuf"}``."""
    return {f"{prefix}{family.plural}.": getattr(part, family.key) for prefix, part, family in families(config)}


def settle(config: Any) -> None:
    """Write out whole the settings of what is chosen, and drop those of what is not.

    So that a later version with other defaults still repeats this run.
    """
    for _, part, family in families(config):
        setattr(part, family.plural, {getattr(part, family.key): asdict(family.of(part))})
