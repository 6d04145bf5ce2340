"""Configuration: a tree of dataclasses, read from YAML, overridden by ``--set a.b=c``, validated, and written whole.

OmegaConf does the work; this module adds errors that name the nearest known key.
"""

import dataclasses
import io
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_origin

import click

from asrpar.errors import ConfigError, DataError
from asrpar.files.replacing import replacing
from asrpar.files.text import read_text

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

    config = OmegaConf.structured(schema)
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
    for where, source in sources:
        if not OmegaConf.is_dict(source):
            raise ConfigError(f"{where}: expected 'key: value' lines")
        _check_keys(where, schema, source)
        try:
            config = OmegaConf.merge(config, source)
        except OmegaConfBaseException as e:
            raise ConfigError(f"{where}: {getattr(e, 'full_key', '') or ''}: {_first_line(e)}") from e
    try:
        found: T = OmegaConf.to_object(config)  # type: ignore[assignment]
    except OmegaConfBaseException as e:
        raise ConfigError(f"{', '.join(map(str, files)) or 'configuration'}: {_first_line(e)}") from e
    _check_sizes(found)
    return found


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


def _takes(schema: Any, key: str, kind: Any) -> bool:
    """Whether the setting ``a.b`` is of the type ``kind``: str is not ``str | None``, which may be set to null."""
    *sections, name = key.split(".")
    for section in sections:
        schema = next((f.type for f in dataclasses.fields(schema) if f.name == section), None)
        if not dataclasses.is_dataclass(schema):
            return False
    return any(f.name == name and kind in (f.type, get_origin(f.type)) for f in dataclasses.fields(schema))


def _check_keys(where: str, schema: Any, source: Any, prefix: str = "") -> None:
    known = {f.name: f.type for f in dataclasses.fields(schema)}
    for key in source:
        if key not in known:
            near = get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean '{prefix}{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key '{prefix}{key}'; {hint}")
        sub = known[key]
        value = source._get_node(key) if hasattr(source, "_get_node") else source[key]
        if not dataclasses.is_dataclass(sub):
            continue
        if not hasattr(value, "keys"):
            first = dataclasses.fields(sub)[0].name
            raise ConfigError(f"{where}: {prefix}{key} is a section: set its keys, such as {prefix}{key}.{first}")
        _check_keys(where, sub, value, f"{prefix}{key}.")


def _check_sizes(config: Any, prefix: str = "") -> None:
    """Raise `ConfigError` for an integer that torch and numpy cannot take."""
    for field in dataclasses.fields(config):
        name, value = f"{prefix}{field.name}", getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            _check_sizes(value, f"{name}.")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ConfigError(f"{name} is {value}: integers have at most 64 bits")


def _first_line(error: Exception) -> str:
    from yaml import MarkedYAMLError

    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
