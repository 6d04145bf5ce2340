"""Engines that search, one page each: `Settings` and `Engine`."""

from dataclasses import fields

from asrpar.choices import Family

ENGINES = Family("asrpar.decode.engines", "engine", "Engine")


def jobs_of_engines(jobs: int | None) -> list[str]:
    """What the option --jobs of commands is behind --set, for every engine that has processes."""
    if jobs is None:
        return []
    several = [name for name in ENGINES if "jobs" in {f.name for f in fields(ENGINES.settings_class(name))}]
    return [f"engines.{name}.jobs={jobs}" for name in several]
