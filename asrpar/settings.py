"""What can be set, from the code that reads it: each field of a settings class, its default, what is said of it."""

import ast
import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One setting: its whole name, its default as YAML has it, and what it means."""

    name: str
    default: str
    meaning: str


def of_class(schema: type, prefix: str = "", defaults: typing.Any = None) -> Iterator[Setting]:
    """The settings of a dataclass, sections within it included; of an instance ``defaults`` if that is given."""
    defaults = defaults or schema()
    told = meanings(schema)
    for field in dataclasses.fields(schema):
        name, value = prefix + field.name, getattr(defaults, field.name)
        if dataclasses.is_dataclass(value):
            yield from of_class(type(value), f"{name}.", value)
        else:
            yield Setting(name, as_yaml(value), told.get(field.name, ""))


def meanings(schema: type) -> dict[str, str]:
    """What docstrings and comments say of each field of a dataclass and of those that it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(schema.__mro__):
        if dataclasses.is_dataclass(cls):
            found |= _commented(cls) | _documented(cls)
    return found


def _documented(cls: type) -> dict[str, str]:
    """``Attributes:`` of a docstring; several names may share a line."""
    _, _, block = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    entries = re.split(r"\n(?=\S)", textwrap.dedent(block.split("\n\n")[0]))
    found = {}
    for entry in entries:
        names, colon, meaning = entry.partition(":")
        if colon:
            found |= {name.strip(): _one_line(meaning) for name in names.split(",")}
    return found


def _commented(cls: type) -> dict[str, str]:
    """Comments above a field or behind it."""
    lines = textwrap.dedent(inspect.getsource(cls)).split("\n")
    body = ast.parse("\n".join(lines)).body[0].body
    found: dict[str, str] = {}
    for node in body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        behind = re.match(r"\s*#\s*(.*)", lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode())
        above = []
        at = node.lineno - 2
        while lines[at].strip().startswith("#"):
            above.insert(0, lines[at].strip().lstrip("# "))
            at -= 1
        text = behind[1] if behind else " ".join(above)
        if text:
            found[node.target.id] = _one_line(text)
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(",")


def as_yaml(value: typing.Any) -> str:
    """A default as one would write it behind --set."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {as_yaml(v)}" for k, v in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def as_text(found: Iterable[Setting], width: int = 100) -> list[str]:
    """Lines for a terminal."""
    lines = []
    for setting in found:
        lines.append(f"  {setting.name}={setting.default}")
        text = setting.meaning.replace("`", "")
        lines += textwrap.wrap(text, width, initial_indent="      ", subsequent_indent="      ")
    return lines


def as_table(found: Iterable[Setting]) -> list[str]:
    """Lines of a Markdown table."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for s in found:
        default = s.default or "''"
        meaning = re.sub(r"`+", "`", s.meaning).replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{s.name}` | `{default}` | {meaning} |")
    return lines
