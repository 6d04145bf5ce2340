"""``asrpar settings``: what can be set."""

import dataclasses
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

import click

from asrpar.errors import ConfigError

if TYPE_CHECKING:
    from asrpar.settings import Setting

# name of a section: (class of its settings, what reads them and from where)
SECTIONS: dict[str, tuple[str, str]] = {
    "features": ("asrpar.feats.config.FeatureConfig", "`asrpar extract-features`, `conf/feats.yaml`"),
    "lang": ("asrpar.lang.config.LangConfig", "`asrpar prepare-lang`, `conf/lang.yaml`"),
    "graph": ("asrpar.graph.config.GraphConfig", "`asrpar make-graph`"),
    "train": ("asrpar.train.config.TrainConfig", "`asrpar train` and `simulate`, `conf/train.yaml`"),
    "decode": ("asrpar.decode.config.DecodeConfig", "`asrpar decode` and `transcribe`, `conf/decode.yaml`"),
    "cluster": ("asrpar.parallel.virtual.cluster.Cluster", "`asrpar simulate --cluster FILE`, `--set-cluster`"),
    "study": ("asrpar.study.config.StudyConfig", "`asrpar study FILE`; there is no --set"),
    "synthesize": ("asrpar.corpus.synthetic.config.SyntheticConfig", "`asrpar synthesize`, `conf/corpus.yaml` of mini"),
}
INTRODUCTION = """
Made from the code by `asrpar settings --markdown`; `asrpar settings train optimizer` prints a part of it. A setting
goes into the YAML file that is named (`ema.enabled` is `enabled` in the section `ema`) or behind `--set`, such as
`--set optimizers.adamw.lr=0.002`. What a run used stands whole in its folder (`feats.yaml`, `lang.yaml`,
`config.yaml`).
"""


@click.command("settings")
@click.argument("words", nargs=-1, metavar="[SECTION] [WORD]...")
@click.option("--markdown", is_flag=True, help="Print all as the page docs/settings.md.")
def command(words: tuple[str, ...], markdown: bool) -> None:
    """Print every setting with its default and meaning: all, those of a SECTION, or those whose names hold a WORD.

    Sections are features, lang, graph, train, decode, cluster, study and synthesize.
    """
    from asrpar.settings import as_text

    if markdown:
        if words:
            raise click.UsageError("--markdown prints all settings: give no SECTION or WORD")
        click.echo(page(), nl=False)
        return
    sections = [word for word in words if word in SECTIONS] or list(SECTIONS)
    others = [word for word in words if word not in SECTIONS]
    found = []
    for section in sections:
        lines = as_text(s for s in settings_of(section) if not others or any(word in s.name for word in others))
        if lines:
            found.append("\n".join([f"{section}: {SECTIONS[section][1].replace('`', '')}", *lines]))
    if not found:
        near = get_close_matches(others[0], [*SECTIONS, *_parts(sections)], n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"sections are {', '.join(SECTIONS)}"
        raise ConfigError(f"no setting has '{' or '.join(others)}' in its name; {hint}")
    click.echo("\n\n".join(found))


def _parts(sections: Iterable[str]) -> set[str]:
    """What names of settings are made of."""
    return {part for section in sections for setting in settings_of(section) for part in setting.name.split(".")}


def page() -> str:
    """``docs/settings.md``."""
    from asrpar.settings import as_table

    lines = ["# Settings", INTRODUCTION.rstrip()]
    for section, (_, where) in SECTIONS.items():
        lines += ["", f"## {section}", "", f"{where[0].upper()}{where[1:]}.", "", *as_table(settings_of(section))]
    return "\n".join(lines) + "\n"


def settings_of(section: str) -> Iterator["Setting"]:
    """The settings of one of `SECTIONS`, with those of every choice in it."""
    from asrpar.choices import families
    from asrpar.settings import of_class

    module, _, name = SECTIONS[section][0].rpartition(".")
    schema = getattr(import_module(module), name)
    yield from of_class(schema)
    if section == "features":
        yield from _fbank()
    for prefix, _, family in families(schema()):
        for choice in family:
            yield from of_class(family.settings_class(choice), f"{prefix}{family.plural}.{choice}.")


def _fbank() -> Iterator["Setting"]:
    """Of Lhotse's filter banks."""
    from lhotse import FbankConfig

    from asrpar.feats.fbank import MEANINGS
    from asrpar.settings import Setting, as_yaml

    for field in dataclasses.fields(FbankConfig):
        if field.name in MEANINGS:
            yield Setting(f"fbank.{field.name}", as_yaml(field.default), MEANINGS[field.name])
