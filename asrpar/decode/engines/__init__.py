"""Engines that search, one page each: `Settings` and `Engine`."""

from dataclasses import fields

from asrpar.choices import Family

ENGINES = Family("asrpar.decode.engines", "engine", "Engine")


def engine_options(engine: str | None, jobs: int | None) -> list[str]:
    """What the options --engine and --jobs of commands are behind --set; every engine with processes gets ``jobs``."""
    options = [] if engine is None else [f"engine={engine}"]
    if jobs is not None:
        several = [name for name in ENGINES if "jobs" in {f.name for f in fields(ENGINES.settings_class(name))}]
        options += [f"engines.{name}.jobs={jobs}" for name in several]
    return options
