"""utils/parse_options.sh: to declare a default is to declare the option."""

import os
import subprocess

import pytest

RECIPE = """#!/usr/bin/env bash
set -euo pipefail
stage=0          # first stage to run
stop_stage=8
exp_dir="exp#1"  # where everything goes
scale=1.0        # a real number
shuffle=true
corpus_dir=
sets=()
help_message="Usage: $0 [options]"
. "$UTILS/parse_options.sh"
internal=7
printf '%s|' "$stage" "$stop_stage" "$exp_dir" "$scale" "$shuffle" "$corpus_dir" "${sets[*]-}" "$*"
"""


@pytest.fixture
def recipe(tmp_path, utils):
    script = tmp_path / "recipe.sh"
    script.write_text(RECIPE)

    def start(*args):
        return subprocess.run(
            ["bash", str(script), *args], env={**os.environ, "UTILS": str(utils)}, capture_output=True, text=True
        )

    return start


def test_defaults(recipe):
    assert recipe().stdout == "0|8|exp#1|1.0|true|||" + "|"


def test_options_with_blank_and_equals_sign(recipe):
    done = recipe(
        "--stage", "3", "--stop-stage=4", "--exp-dir", "a b", "--shuffle", "false", "--scale=.5", "--corpus_dir="
    )
    assert done.stdout == "3|4|a b|.5|false||||"


def test_set_is_repeated_and_what_is_left_stays(recipe):
    done = recipe("--set", "a.b=c", "--set=seed=3", "--", "--stage", "rest")
    assert done.stdout == "0|8|exp#1|1.0|true||a.b=c seed=3|--stage rest|"


def test_help_lists_options_with_comments_and_defaults(recipe):
    done = recipe("--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert "--stage" in done.stdout
    assert "where everything goes [exp#1]" in done.stdout
    assert "--set key=value" in done.stdout
    assert "internal" not in done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--stag", "3"], "--stag: unknown option; did you mean --stage?"),
        (["--stop-stag"], "did you mean --stop-stage?"),
        (["--internal", "3"], "--internal: unknown option (--help lists them)"),
        (["--sets", "a=b"], "did you mean --set?"),
        (["--PATH", "x"], "unknown option"),
        (["--$(touch hacked)", "x"], "unknown option"),
        (["--stage"], "--stage: a value is missing"),
        (["--exp-dir", "--stage", "3"], "--exp-dir: a value is missing"),
        (["--stage", "x"], "expected a whole number, not 'x'"),
        (["--shuffle", "yes"], "expected true or false, not 'yes'"),
        (["--set", "seed"], "expected key=value"),
        (["--config", "nowhere"], "no such file"),
    ],
)
def test_wrong_options_end_in_one_line(recipe, args, says):
    done = recipe(*args)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_config_file_is_read_and_not_executed(recipe, tmp_path):
    config = tmp_path / "x.conf"
    config.write_text("# mine\nstage=4\n\nexp-dir=$(touch hacked) y\n")
    assert recipe("--config", str(config), "--stage", "5").stdout.startswith("5|8|$(touch hacked) y|")
    config.write_text("stage=4\nstge=5\n")
    assert "x.conf, line 2, stge: unknown option; did you mean --stage?" in recipe(f"--config={config}").stderr


def test_a_recipe_may_have_a_config_of_its_own(tmp_path, utils):
    script = tmp_path / "recipe.sh"
    script.write_text(f'set -eu\nconfig=conf/train.yaml\n. {utils}/parse_options.sh\necho "$config"\n')
    done = subprocess.run(["bash", str(script), "--config", "other.yaml"], capture_output=True, text=True)
    assert done.stdout == "other.yaml\n"


def test_options_may_have_any_name(tmp_path, utils):
    names = ["name", "line", "number", "near", "file", "a", "i", "set", "known"]
    declared = "".join(f"{n}=\n" for n in names)
    script = tmp_path / "recipe.sh"
    shown = " ".join(f"${n}" for n in names)
    script.write_text(f'set -eu\nhere=$(pwd)\n{declared}. {utils}/parse_options.sh\necho "{shown}"\n')
    args = [word for n in names for word in (f"--{n}", n.upper())]
    done = subprocess.run(["bash", str(script), *args], capture_output=True, text=True)
    assert done.stdout.split() == [n.upper() for n in names], done.stderr
    done = subprocess.run(["bash", str(script), "--help"], capture_output=True, text=True)
    assert done.stdout.count("[]") == len(names)
    assert "--here" not in done.stdout


def test_options_of_a_file_that_scripts_share(tmp_path, utils):
    (tmp_path / "shared.sh").write_text("stage=0   # first\nsecond='a b'\n")
    script = tmp_path / "recipe.sh"
    script.write_text(
        f"set -euo pipefail\n. {tmp_path}/shared.sh\noption_files=({tmp_path}/shared.sh)\n"
        f"own=1   # mine\nstage=2   # another default\n. {utils}/parse_options.sh\necho $stage.$second.$own\n"
    )
    done = subprocess.run(["bash", str(script), "--second", "c", "--own=3"], capture_output=True, text=True)
    assert done.stdout == "2.c.3\n", done.stderr
    shown = subprocess.run(["bash", str(script), "--help"], capture_output=True, text=True).stdout
    assert [line.split() for line in shown.splitlines()[1:]] == [
        ["--stage", "another", "default", "[2]"],
        ["--second", "[a", "b]"],
        ["--own", "mine", "[1]"],
    ]
