"""A folder with modules that must not be run there."""

from pathlib import Path

# What workers and ranks import, of the standard library and of others.
NAMES = ("torch", "random", "tempfile", "queue", "socket", "pickle", "signal", "lhotse", "numpy", "click")


def set_traps(folder: Path, *packages: str) -> Path:
    """Make modules, and packages with a ``__main__``, of other people's names; returns the file that they write to."""
    marker = folder.with_name(folder.name + ".marker")
    code = f"import os\nos.write(os.open({str(marker)!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY), __name__.encode())\n"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(code)
    for name in packages:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(code)
        (folder / name / "__main__.py").write_text(code)
    return marker
