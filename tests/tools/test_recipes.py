"""egs/recipes.csv says what the recipes gave, README.md shows it, and neither says what the other does not."""

import importlib
import re
import shlex
from datetime import date

import pytest


@pytest.fixture
def recipes(repo, monkeypatch):
    monkeypatch.syspath_prepend(repo / "tools")
    return importlib.import_module("recipes")


@pytest.fixture
def rows(recipes):
    return recipes.read_registry()


def test_readme_shows_the_registry(recipes, rows, repo):
    readme = (repo / "README.md").read_text(encoding="utf-8")
    assert recipes.with_table(readme, recipes.table(rows)) == readme, "run tools/recipes.py --write"


def test_every_recipe_has_its_rows_together(rows, repo):
    names = [row["recipe"] for row in rows]
    assert set(names) == {path.parent.parent.name for path in repo.glob("egs/*/s5/run.sh")}
    first = list(dict.fromkeys(names))
    assert names == sorted(names, key=first.index)
    assert len({tuple(row.values()) for row in rows}) == len(rows)


def test_values_were_measured_on_a_day_or_say_why_not(rows, repo):
    measurements = (repo / "docs/measurements.md").read_text(encoding="utf-8")
    for row in rows:
        assert all(row[key] for key in ("configuration", "strategy", "learners", "set", "command")), row
        assert row["measure"] in ("WER", "CER", "PER"), row
        if row["value"].startswith("not run: "):
            assert not row["date"], row
            continue
        assert re.fullmatch(r"\d+\.\d+( ± \d+\.\d+)?", row["value"]), row
        assert date(2026, 11, 1) <= date.fromisoformat(row["date"]), row
        results = (repo / "egs" / row["recipe"] / "s5/RESULTS.md").read_text(encoding="utf-8")
        assert re.search(rf"(?<![\d.]){re.escape(row['value'])}(?![\d.])", results + measurements), (
            f"neither RESULTS.md nor docs/measurements.md has {row['value']}: {row}"
        )


def test_commands_can_be_given(rows, repo):
    from asrpar.config import load_config
    from asrpar.train.config import TrainConfig

    shared = (repo / "utils/recipe_options.sh").read_text(encoding="utf-8")
    for row in rows:
        program, *words = shlex.split(row["command"])
        if program == "make":
            assert f"\n{words[0]}: " in (repo / "Makefile").read_text(encoding="utf-8"), row
            continue
        assert program == f"egs/{row['recipe']}/s5/run.sh", row
        folder = (repo / program).parent
        script = (repo / program).read_text(encoding="utf-8")
        # One recipe may be another one with other settings.
        others = re.findall(r"^# shellcheck source=(egs/\S+)", script, re.M)
        known = "\n".join([shared, script, *((repo / other).read_text(encoding="utf-8") for other in others)])
        options = list(zip(words[::2], words[1::2], strict=True))
        for option, _ in options:
            name = option.removeprefix("--").replace("-", "_")
            assert option == "--set" or re.search(rf"^{name}=", known, re.M), f"{option}: {row}"
        given = dict(options)
        assert given.get("--strategy", "ssgd") == row["strategy"], row
        assert given.get("--learners", "2") == row["learners"], row
        configs = [folder / given.get("--config", "conf/train.yaml")]
        for kind, plural in (("model", "models"), ("loss", "losses"), ("strategy", "strategies")):
            file = folder / "conf" / plural / f"{given.get(f'--{kind}')}.yaml"
            configs += [file] if file.is_file() else []
        sets = [value.replace("SEED", "0") for option, value in options if option == "--set"]
        load_config(TrainConfig, configs, sets)


@pytest.mark.parametrize(
    ("content", "message"),
    [("recipe,value\nan4,1\n", "the columns are"), ("{columns}\nan4,1\n", "row 2 does not have 9 columns")],
)
def test_a_registry_of_another_form_is_refused(recipes, tmp_path, content, message):
    path = tmp_path / "recipes.csv"
    path.write_text(content.format(columns=",".join(recipes.COLUMNS)))
    with pytest.raises(ValueError, match=message):
        recipes.read_registry(path)


def test_the_place_of_the_table(recipes):
    readme = f"before\n{recipes.BEGIN}old\n{recipes.END}after\n"
    assert recipes.with_table(readme, "new\n") == f"before\n{recipes.BEGIN}\nnew\n\n{recipes.END}after\n"
    with pytest.raises(ValueError, match="has no lines"):
        recipes.with_table("before\n", "new\n")
