"""What can be set, from the code that reads it: each field of a settings class, its default, what is said of it."""

import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

from asrpar.choices import Family, families
from asrpar.names import unknown

# name of a section: (class of its settings or family of choices, what reads them and from where)
SECTIONS: dict[str, tuple[str, str]] = {
    "features": ("asrpar.feats.config.FeatureConfig", "`asrpar extract-features`, `conf/feats.yaml`"),
    "lang": ("asrpar.lang.config.LangConfig", "`asrpar prepare-lang`, `conf/lang.yaml`"),
    "align": ("asrpar.align.config.AlignConfig", "`asrpar align`, `conf/align.yaml`"),
    "tree": ("asrpar.hmm.config.TreeConfig", "`asrpar build-tree`, `conf/trees/NAME.yaml`"),
    "graph": ("asrpar.graph.config.GraphConfig", "`asrpar make-graph`"),
    "train": ("asrpar.train.config.TrainConfig", "`asrpar train` and `simulate`, `conf/train.yaml`"),
    "decode": ("asrpar.decode.config.DecodeConfig", "`asrpar decode` and `transcribe`, `conf/decode.yaml`"),
    "rescore": ("asrpar.decode.rescore_config.RescoreConfig", "`asrpar rescore`"),
    "cluster": ("asrpar.parallel.virtual.cluster.Cluster", "`asrpar simulate --cluster FILE`, `--set-cluster`"),
    "study": ("asrpar.study.config.StudyConfig", "`asrpar study FILE`; there is no --set"),
    "synthesize": ("asrpar.corpus.synthetic.config.SyntheticConfig", "`asrpar synthesize`, `conf/corpus.yaml` of mini"),
    "launch": ("asrpar.launch.launchers.LAUNCHERS", "`asrpar launch --launcher NAME`"),
    "alignment-formats": ("asrpar.align.formats.FORMATS", "`asrpar export-alignment --format NAME`"),
    "model-formats": ("asrpar.export.formats.FORMATS", "`asrpar export --format NAME`"),
    "corpora": ("asrpar.corpus.registry.CORPORA", "`asrpar download`, `prepare-manifests`, `prepare-dict`"),
}
INTRODUCTION = """
Made from the code by `asrpar help settings --markdown`; `asrpar help settings train ema` prints a part of it. A setting
goes into the YAML file that is named (`ema.enabled` is `enabled` in the section `ema`) or behind `--set`, such as
`--set optimizers.adamw.lr=0.002`. Where one of several is chosen by name, only the settings of the chosen one count.
What a run used stands whole in its folder (`feats.yaml`, `lang.yaml`, `config.yaml`).
"""


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
    """What docstrings say under ``Attributes:`` of the fields of a dataclass and of those that it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(schema.__mro__):
        if dataclasses.is_dataclass(cls):
            found |= _documented(cls)
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


@dataclass(frozen=True)
class Group:
    """Settings that belong together: those of a section, or of one choice.

    Attributes:
        title: of the section, or the name of the choice.
        text: where they are set, or what the choice is.
        settings: may be none.
        family: of the choice; None for a section.
    """

    title: str
    text: str
    settings: list[Setting]
    family: Family | None = None

    def narrowed(self, words: Sequence[str]) -> "Group | None":
        """With what has one of ``words`` in its name alone; None if nothing has."""
        names = {self.title, self.family.key, self.family.plural} if self.family else set()
        if not words or names & set(words):
            return self
        found = [s for s in self.settings if any(word in s.name for word in words)]
        return dataclasses.replace(self, settings=found) if found else None


def groups(section: str) -> Iterator[Group]:
    """One of `SECTIONS`, and every choice that can be made in it."""
    path, where = SECTIONS[section]
    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name)
    if isinstance(found, Family):
        yield Group(section, where, [])
        chosen = [("", found)]
    else:
        yield Group(section, where, [*of_class(found), *(_fbank() if section == "features" else ())])
        chosen = [(prefix, family) for prefix, _, family in families(found())]
    for prefix, family in chosen:
        for choice in family:
            if family.has_settings:
                own = of_class(family.settings_class(choice), f"{prefix}{family.plural}.{choice}.")
            else:  # corpora: each has its own command line, where keys stand alone
                settings = getattr(family.load(choice), "settings", None)
                own = of_class(settings) if settings else ()
            yield Group(choice, family.help(choice), list(own), family)


def _fbank() -> Iterator[Setting]:
    """Of Lhotse's filter banks."""
    from lhotse import FbankConfig

    told = import_module("asrpar.feats.fbank").MEANINGS
    for field in dataclasses.fields(FbankConfig):
        if field.name in told:
            yield Setting(f"fbank.{field.name}", as_yaml(field.default), told[field.name])


def listed(words: Sequence[str]) -> list[str]:
    """Paragraphs for a terminal: all settings, or those of the sections and names among ``words``.

    Raises:
        ConfigError: there are none; the nearest known word is in the message.
    """
    sections = [word for word in words if word in SECTIONS] or list(SECTIONS)
    others = [word for word in words if word not in SECTIONS]
    every = [(section, group) for section in sections for group in groups(section)]
    found = [(section, kept) for section, group in every if (kept := group.narrowed(others))]
    if not found:
        known = {part for _, g in every for s in g.settings for part in s.name.split(".")}
        known |= {word for _, g in every if g.family for word in (g.title, g.family.key, g.family.plural)}
        raise unknown("setting", " or ".join(others), sorted(known | set(SECTIONS)), more="asrpar help settings")
    return ["\n".join([_heading(section, group), *as_text(group.settings)]) for section, group in found]


def _heading(section: str, group: Group) -> str:
    text = group.text.replace("`", "")
    return f"{section}, {group.family.key} {group.title}: {text}" if group.family else f"{section}: {text}"


def page() -> str:
    """``docs/settings.md``."""
    lines = ["# Settings", INTRODUCTION.rstrip()]
    for section in SECTIONS:
        last = None
        for group in groups(section):
            family = group.family
            if family is None:
                lines += ["", f"## {section}", "", f"{group.text[0].upper()}{group.text[1:]}."]
            else:
                if family is not last:
                    own = f" with settings in `{family.plural}: {{NAME: {{...}}}}`" if family.has_settings else ""
                    lines += ["", f"### {family.key}", "", f"`{family.key}: NAME`{own}; a name is a file in"]
                    lines[-1] += f" `{family.package.replace('.', '/')}`."
                lines += ["", f"**`{group.title}`** {group.text}"]
            if group.settings:
                lines += ["", *as_table(group.settings)]
            last = family
    return "\n".join(lines) + "\n"


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
