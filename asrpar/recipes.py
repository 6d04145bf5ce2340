"""The recipes, where this asrpar has them, and copies of them that run anywhere.

A clone has them in egs/, and what they share in utils/. A wheel carries both (setup.py), in a folder beside this file.
A copy is laid out as a clone is, so that no script has to be changed:

    DIR/egs/an4/s5/run.sh      DIR/utils/recipe.sh
"""

import os
import re
import shutil
from pathlib import Path

from asrpar.errors import ConfigError
from asrpar.files.replacing import replacing_folder
from asrpar.names import unknown

# The scripts of another recipe that one sources.
_OTHERS = re.compile(r"\.\./([A-Za-z0-9_]+)/s5/")
# What runs leave in a clone.
LEFT = shutil.ignore_patterns("exp", "download", "data", "__pycache__", "*.pyc", "cmd.sh")


def root() -> Path:
    """The folder with egs/ and utils/.

    Raises:
        ConfigError: an installation without them.
    """
    package = Path(__file__).parent
    for folder in (package / "shipped", package.parent):
        if (folder / "egs").is_dir() and (folder / "utils" / "recipe.sh").is_file():
            return folder
    raise ConfigError(f"there are no recipes beside {package}: install asrpar from its wheel, or use a clone's egs/")


def recipes() -> dict[str, str]:
    """Names of the recipes, and what the first line of their run.sh says of each."""
    found = {}
    for script in sorted(root().glob("egs/*/s5/run.sh")):
        lines = [line[1:].strip() for line in script.read_text(encoding="utf-8").splitlines()[1:] if line[:1] == "#"]
        found[script.parent.parent.name] = lines[0] if lines else ""
    return found


def copy(name: str, folder: Path) -> Path:
    """Copy a recipe, those that it uses, and utils/ into ``folder``; returns the copy's run.sh.

    Links become files. Other recipes may be in the folder, if they are of this version of asrpar.

    Raises:
        ConfigError: there is no such recipe; the folder has it already, or utils/ of another version.
    """
    known = recipes()
    if name not in known:
        raise unknown("recipe", name, known)
    source, needed = root(), _with_others(name)
    if (folder / "egs" / name).exists():
        raise ConfigError(f"{folder / 'egs' / name} is there already, and may have been changed: give another folder")
    new = []
    for part in [Path("utils"), *(Path("egs", recipe) for recipe in needed)]:
        there = folder / part
        if not there.exists():
            new.append(part)
        elif _content(there) != _content(source / part):
            raise ConfigError(f"{there} is of another version of asrpar, or was changed: give another folder")
    for part in new:
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        with replacing_folder(folder / part) as fresh:
            shutil.copytree(source / part, fresh, ignore=LEFT, dirs_exist_ok=True)
            _make_executable(fresh)
    return folder / "egs" / name / "s5" / "run.sh"


def _with_others(name: str) -> list[str]:
    """A recipe, behind those whose scripts it uses: a copy that was interrupted then lacks the recipe itself."""
    needed, left = [], [name]
    while left:
        recipe = left.pop()
        needed.append(recipe)
        for script in (root() / "egs" / recipe).rglob("*.sh"):
            named = set(_OTHERS.findall(script.read_text(encoding="utf-8")))
            left += sorted(other for other in named - {*needed, *left} if (root() / "egs" / other).is_dir())
    return needed[::-1]


def _content(folder: Path) -> dict[str, bytes]:
    """Of all files that a copy has, also where links lead."""
    found = {}
    for place, folders, files in os.walk(folder, followlinks=True):
        left = LEFT(place, [*folders, *files])
        folders[:] = [name for name in folders if name not in left]
        for name in set(files) - left:
            path = Path(place, name)
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def _make_executable(folder: Path) -> None:
    """Programs are executable, whatever has unpacked the wheel."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                script = file.read(2) == b"#!"
            if script:
                path.chmod(path.stat().st_mode | 0o111)
