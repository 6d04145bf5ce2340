"""Recipes of an installation: which there are, and copies of them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from asrpar import recipes
from asrpar.errors import ConfigError


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """An installation with three recipes, of which `small` sources `large`, and links to a file of it."""
    root = tmp_path / "shipped"
    for name, text in (
        ("large", "echo large"),
        ("small", '. "$(dirname "$0")/../../large/s5/run.sh"'),
        ("other", "true"),
    ):
        folder = root / "egs" / name / "s5"
        (folder / "conf").mkdir(parents=True)
        (folder / "run.sh").write_text(f"#!/usr/bin/env bash\n# Recipe {name}.\n# More.\n{text}\n")
        (folder / "exp").mkdir()
        (folder / "exp/final.pt").write_text("x")
    (root / "egs/large/s5/conf/train.yaml").write_text("epochs: 1\n")
    (root / "egs/small/s5/conf/train.yaml").symlink_to("../../../large/s5/conf/train.yaml")
    (root / "utils").mkdir()
    (root / "utils/recipe.sh").write_text("# shellcheck shell=bash\n")
    monkeypatch.setattr(recipes, "root", lambda: root)
    return root


def test_recipes_are_listed_with_what_their_scripts_say(shipped):
    assert recipes.recipes() == {"large": "Recipe large.", "other": "Recipe other.", "small": "Recipe small."}


def test_those_of_the_clone_are_there(repo):
    assert recipes.root() == repo
    # The list shows one line of each.
    assert all(text.endswith(".") for text in recipes.recipes().values())
    found = recipes.recipes()
    assert {"an4", "mini", "yesno"} <= set(found) and all(found.values())


def test_a_copy_has_what_it_needs_and_runs(shipped, tmp_path):
    script = recipes.copy("small", tmp_path / "a b")
    assert script == tmp_path / "a b/egs/small/s5/run.sh"
    files = {str(p.relative_to(tmp_path / "a b")) for p in (tmp_path / "a b").rglob("*") if p.is_file()}
    names = {f"egs/{name}/s5/{file}" for name in ("small", "large") for file in ("run.sh", "conf/train.yaml")}
    assert files == names | {"utils/recipe.sh"}
    assert not (tmp_path / "a b/egs/small/s5/conf/train.yaml").is_symlink()
    assert subprocess.run([script], capture_output=True, text=True, check=True).stdout == "large\n"


def test_another_recipe_may_join_but_nothing_is_overwritten(shipped, tmp_path):
    folder = tmp_path / "work"
    recipes.copy("large", folder)
    recipes.copy("small", folder)
    with pytest.raises(ConfigError, match=r"work/egs/small is there already, and may have been changed: give another"):
        recipes.copy("small", folder)
    (folder / "utils/recipe.sh").write_text("# of another version\n")
    with pytest.raises(ConfigError, match=r"work/utils is of another version of asrpar, or was changed"):
        recipes.copy("other", folder)
    assert not (folder / "egs/other").exists()
    with pytest.raises(ConfigError, match="recipe 'othr' is unknown; did you mean 'other'"):
        recipes.copy("othr", folder)


def test_an_installation_without_recipes_says_so(tmp_path, monkeypatch):
    package = tmp_path / "asrpar"
    package.mkdir()
    monkeypatch.setattr(recipes, "__file__", str(package / "recipes.py"))
    with pytest.raises(ConfigError, match="install asrpar from its wheel"):
        recipes.root()
    shutil.rmtree(package)
