"""Configuration: a tree of dataclasses, read from YAML, overridden by ``--set a.b=c``, checked, and written whole.

OmegaConf does the work; this module adds errors that name the nearest known key, and calls the `validate` that a
dataclass of settings may have. That raises `ConfigError` with a message that begins with the name of a setting, such as
``block_lr is 0: it must be positive`` (see `asrpar.rules`); `check` puts in front where that is.

A dataclass whose keys were others before says so in ``MOVED: ClassVar[dict[str, str]] = {"old.key": "new.key"}``, those
within a section before the section; who still uses one gets a line that names the new one.
"""

import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

import click

from asrpar.errors import ConfigError, DataError
from asrpar.files.replacing import replacing
from asrpar.files.text import read_text
from asrpar.names import unknown

T = TypeVar("T")


def load_config(schema: type[T], path: str | Path | Sequence[str | Path] | None, overrides: Sequence[str] = ()) -> T:
    """Read ``path`` into an instance of the dataclass ``schema``.

    Args:
        schema: a dataclass; nested dataclasses are sections.
        path: a YAML file, several (later ones override earlier ones), or None for the defaults.
        overrides: ``"a.b=c"`` strings, applied in order after the file.

    Raises:
        ConfigError: unreadable file, unknown key (with the nearest known one), or a value of the wrong type.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    sources: list[tuple[str, Any]] = []
    files = [] if path is None else [path] if isinstance(path, str | Path) else list(path)
    for file in files:
        if not Path(file).is_file():
            raise ConfigError(f"no configuration file {file}")
        try:
            sources.append((str(file), OmegaConf.load(io.StringIO(read_text(file)))))
        except DataError as e:
            raise ConfigError(str(e)) from e
        except (YAMLError, OmegaConfBaseException) as e:
            raise ConfigError(f"{file} is not readable YAML: {_first_line(e)}") from e
    for item in overrides:
        if "=" not in item:
            raise ConfigError(f"--set {item}: expected key=value, for example --set seed=3")
        key, value = item.split("=", 1)
        try:
            if _takes(schema, key, list) and value[:1] not in "[${":
                item = f"{key}=[{value}]"  # one value for a list of one
            optional = (
                _takes(schema, key, str | None) and value.lower() not in ("", "null", "~") and value[0] not in "'\""
            )
            if _takes(schema, key, str) or optional:
                # As it is: a path may hold what YAML takes for a comment or a mapping.
                source = OmegaConf.create()
                OmegaConf.update(source, key, value)
            else:
                source = OmegaConf.from_dotlist([item])
            sources.append((f"--set {item}", source))
        except (YAMLError, OmegaConfBaseException) as e:
            raise ConfigError(f"--set {item}: {_first_line(e)}") from e
    found = _merge(schema, sources, ", ".join(map(str, files)) or "configuration")
    check(found)
    return found


def from_values(schema: type[T], values: dict[str, Any], prefix: str) -> T:
    """An instance of the dataclass ``schema`` with these values, not yet checked; errors name ``prefix`` + key.

    Raises:
        ConfigError: unknown key (with the nearest known one), or a value of the wrong type.
    """
    from omegaconf import OmegaConf

    return _merge(schema, [("", OmegaConf.create(values))], prefix, prefix)


def check(config: Any, prefix: str = "") -> None:
    """Raise `ConfigError` for values of a dataclass, its sections and the choices in them that no type excludes."""
    families = []
    for field in dataclasses.fields(config):
        name, value = f"{prefix}{field.name}", getattr(config, field.name)
        families += [field.metadata["family"]] if "family" in field.metadata else []
        if dataclasses.is_dataclass(value):
            check(value, f"{name}.")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ConfigError(f"{name} is {value}: integers have at most 64 bits")
    try:
        for family in families:
            family.settings(getattr(config, family.key), getattr(config, family.plural, {}))
        if hasattr(config, "validate"):
            config.validate()
    except ConfigError as e:
        raise ConfigError(f"{prefix}{e}") from e


def save_config(config: Any, path: str | Path) -> None:
    """Write a dataclass instance as YAML; reading it back with `load_config` gives an equal instance."""
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(OmegaConf.structured(config))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def config_options(command: Callable) -> Callable:
    """Add ``--config FILE`` and ``--set key=value``, both repeatable, as ``config_path`` and ``overrides``."""
    command = click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one setting; may be given repeatedly."
    )(command)
    return click.option(
        "--config", "config_path", multiple=True, metavar="FILE", help="Settings in YAML; later files override earlier."
    )(command)


def choosing(overrides: Sequence[str], key: str, name: str | None) -> tuple[str, ...]:
    """``overrides`` with what an option says that is the same as ``--set key=name``; None where it was not given.

    Raises:
        ConfigError: --set says something else.
    """
    if not name:
        return tuple(overrides)
    other = next((item for item in overrides if item.startswith(f"{key}=") and item != f"{key}={name}"), None)
    if other is not None:
        raise ConfigError(f"--{key} {name} and --set {other}: give one of them")
    return (*overrides, f"{key}={name}")


def _takes(schema: Any, key: str, kind: Any) -> bool:
    """Whether the setting ``a.b`` is of the type ``kind``: str is not ``str | None``, which may be set to null."""
    *sections, name = key.split(".")
    for section in sections:
        schema = _section(schema, section)
    fields = dataclasses.fields(schema) if dataclasses.is_dataclass(schema) else ()
    return any(f.name == name and kind in (f.type, get_origin(f.type)) for f in fields)


def _section(schema: Any, name: str) -> Any:
    """The dataclass of a section; of blocks of choices the family, and of a block in them the choice's dataclass."""
    if not dataclasses.is_dataclass(schema):
        return schema.settings_class(name) if schema is not None and name in schema else None
    families = (f.metadata.get("family") for f in dataclasses.fields(schema))
    found = {f.name: f.type for f in dataclasses.fields(schema) if dataclasses.is_dataclass(f.type)}
    return found.get(name) or next((family for family in families if family and family.plural == name), None)


def _merge(schema: type[T], sources: Sequence[tuple[str, Any]], name: str, prefix: str = "") -> T:
    """All sources, each with where it is from, in one instance; ``name`` is what all of it is called."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    config = OmegaConf.structured(schema)
    for where, source in sources:
        at = where and f"{where}: "
        if not OmegaConf.is_dict(source):
            raise ConfigError(f"{at}expected 'key: value' lines")
        _check_keys(at, schema, source, prefix)
        try:
            config = OmegaConf.merge(config, source)
        except (OmegaConfBaseException, TypeError) as e:  # TypeError: a list in place of a mapping, deep inside
            raise ConfigError(f"{at}{prefix}{getattr(e, 'full_key', '') or ''}: {_first_line(e)}") from e
    try:
        return OmegaConf.to_object(config)  # type: ignore[return-value]
    except OmegaConfBaseException as e:
        raise ConfigError(f"{name}: {_first_line(e)}") from e


def _check_keys(at: str, schema: Any, source: Any, prefix: str = "") -> None:
    for old, new in getattr(schema, "MOVED", {}).items():
        if _has(source, old):
            raise ConfigError(f"{at}'{prefix}{old}' is now '{prefix}{new}'")
    known = {f.name: f for f in dataclasses.fields(schema)}
    for key in source:
        if key not in known:
            raise unknown(f"{at}key", str(key), known, prefix=prefix)
        sub = known[key].type
        value = source._get_node(key) if hasattr(source, "_get_node") else source[key]
        family = known[key].metadata.get("family")
        if family and hasattr(value, "keys"):
            raise ConfigError(f"{at}{prefix}{key} is a name: settings of it go into {prefix}{family.plural}.NAME")
        if not dataclasses.is_dataclass(sub):
            _check_shape(f"{at}{prefix}{key}", get_origin(sub) or sub, value)
            _check_blocks(at, _section(schema, key), value, f"{prefix}{key}.")
            continue
        if not hasattr(value, "keys"):
            first = dataclasses.fields(sub)[0].name
            raise ConfigError(f"{at}{prefix}{key} is a section: set its keys, such as {prefix}{key}.{first}")
        _check_keys(at, sub, value, f"{prefix}{key}.")


def _check_shape(where: str, kind: Any, value: Any) -> None:
    """Raise `ConfigError` for a list in place of a mapping and the like; what is of the right shape has a type, too."""
    from omegaconf import ListConfig
    from omegaconf.base import Node

    shapes = {dict: "'key: value' lines", list: "a list"}
    given = dict if hasattr(value, "keys") else list if isinstance(value, ListConfig) else None
    interpolated = isinstance(value, Node) and value._is_interpolation()
    if kind is not Any and shapes.get(kind) != shapes.get(given) and not interpolated:
        raise ConfigError(f"{where} must be {shapes.get(kind, 'one value')}, not {_shown(value)}")


def _shown(value: Any) -> str:
    found = getattr(value, "_value", lambda: value)()  # of a node
    return "null" if found is None else repr(found)


def _check_blocks(at: str, family: Any, blocks: Any, prefix: str) -> None:
    """Names and keys of the choices of a family, if it is one."""
    if family is None or not hasattr(blocks, "keys"):
        return
    for name in blocks:
        if name not in family:
            raise unknown(f"{at}{family.key}", str(name), family)
        block = blocks._get_node(name)
        if _shown(block) != "null":  # a name without settings is the defaults
            _check_shape(f"{at}{prefix}{name}", dict, block)
        if hasattr(block, "keys"):
            _check_keys(at, family.settings_class(name), block, f"{prefix}{name}.")


def _has(source: Any, key: str) -> bool:
    """Whether the key ``a.b`` is set."""
    for part in key.split("."):
        if not hasattr(source, "keys") or part not in source:
            return False
        source = source._get_node(part) if hasattr(source, "_get_node") else source[part]
    return True


def _first_line(error: Exception) -> str:
    from yaml import MarkedYAMLError

    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
