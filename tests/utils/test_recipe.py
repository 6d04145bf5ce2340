"""What recipes share: their options, stages and places, and comparisons of strategies."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--set", "seed=3", "epochs=1", "--strategy", "bmuf"], "'epochs=1' is no option"),
        (["-stage", "7"], "'-stage' is no option"),
        (["--set", "strategy=bmuf"], "give --strategy bmuf"),
        (["--set", "model=tdnn"], "give --model tdnn"),
        (["--loss", "../ctc"], "--loss ../ctc: expected a name"),
        (["--strategy", "bmfu"], "strategy 'bmfu' is unknown; did you mean 'bmuf'?"),
        (["--model", "tdn"], "model 'tdn' is unknown; did you mean 'tdnn'?"),
        (["--set", "exp=x"], "give --exp-dir DIR"),
        (["--set", "data.feats=x"], "give --data-dir DIR"),
        (["--learners", "08"], "expected a whole number, not '08'"),
        (["--learners", "100000"], "give fewer, or --oversubscribe if that many are meant"),
    ],
)
def test_a_recipe_ignores_nothing(repo, tmp_path, args, says):
    command = ["bash", repo / "egs/mini/s5/run.sh", "--exp-dir", tmp_path / "exp", *args]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 1
    assert says in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "exp").exists()


CORPORA = sorted(path.parts[-3] for path in Path(__file__).resolve().parents[2].glob("egs/*/s5/run.sh"))


@pytest.mark.parametrize("corpus", CORPORA)
def test_help_works_before_anything_is_installed(repo, tmp_path, corpus):
    shutil.copytree(repo / "utils", tmp_path / "clone/utils")
    for folder in dict.fromkeys(
        ("librispeech", "papers", corpus)
    ):  # mini_librispeech is librispeech with other settings
        shutil.copytree(
            repo / f"egs/{folder}",
            tmp_path / f"clone/egs/{folder}",
            symlinks=True,
            ignore=shutil.ignore_patterns("exp", "download"),
        )
    path = tmp_path / "bin"
    path.mkdir()
    for tool in ("bash", "dirname", "head"):
        (path / tool).symlink_to(shutil.which(tool))
    run = tmp_path / f"clone/egs/{corpus}/s5/run.sh"
    for words in ([run], ["bash", os.path.relpath(run, "/")]):  # from another folder
        done = subprocess.run([*words, "--help"], capture_output=True, text=True, env={"PATH": str(path)}, cwd="/")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"[{run.parent}/exp]" in done.stdout

    def error():
        done = subprocess.run([run, "--stage", "1"], capture_output=True, text=True, env={"PATH": str(path)}, cwd="/")
        assert done.returncode == 1
        return done.stderr

    # What `asrpar recipe copy` makes is no clone.
    assert error() == (
        "run.sh: error: there is no asrpar on the PATH: activate the environment that it is installed in\n"
    )
    (tmp_path / "clone/asrpar").mkdir()
    assert error() == f"run.sh: error: asrpar is not installed: run 'make setup' in {tmp_path}/clone\n"


@pytest.fixture
def toy_recipe(tmp_path, utils):
    """A recipe that prints what it would train with."""
    folder = tmp_path / "egs/toy/s5"
    for name in (
        "conf/models/big",
        "conf/models/wrong",
        "conf/models/tdnn",
        "conf/losses/smooth",
        "conf/strategies/bmuf",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        key = {"models": "model", "losses": "loss", "strategies": "none"}[Path(name).parts[1]]
        (folder / f"{name}.yaml").write_text("x: 1\n" if name.endswith("wrong") else f"{key}: cldnn\n")
    run = folder / "run.sh"
    run.write_text(
        f'set -euo pipefail\n. {utils}/recipe.sh\n. $root/utils/parse_options.sh\nbegin_recipe "$@"\n'
        'need() { :; }\nlaunch() { printf "%s\\n" "$@"; }\ntrain_model\n'
    )

    def start(*args):
        done = subprocess.run(["bash", run, *args], capture_output=True, text=True, cwd="/")
        words = done.stdout.split("\n")
        return done, [f"{a} {b}" for a, b in itertools.pairwise(words) if a in ("--config", "--set", "--strategy")]

    return start


def test_model_loss_and_strategy_are_files_or_names(toy_recipe, tmp_path):
    exp = f"--set exp={tmp_path}/egs/toy/s5/exp"
    _, said = toy_recipe()
    assert said[:3] == ["--config conf/train.yaml", "--strategy ssgd", f"{exp}/ssgd_n2_seed0"]
    _, said = toy_recipe("--model", "big", "--loss", "smooth", "--strategy", "bmuf", "--set", "seed=3", "--set", "a=b")
    files = ["train", "models/big", "losses/smooth", "strategies/bmuf"]
    assert said[:4] == [f"--config conf/{file}.yaml" for file in files]
    assert said[4:8] == ["--set seed=3", "--set a=b", "--strategy bmuf", f"{exp}/big_smooth_bmuf_n2_seed3"]
    _, said = toy_recipe("--model", "blstm", "--loss", "ctc")
    assert said[:3] == ["--config conf/train.yaml", "--set model=blstm", "--set loss=ctc"]
    done, _ = toy_recipe("--model", "wrong")
    assert "conf/models/wrong.yaml does not say which model it is for: 'model: NAME'" in done.stderr
    done, _ = toy_recipe("--model", "tdnn")
    assert done.returncode == 1
    assert "conf/models/tdnn.yaml chooses the model cldnn: give it another name than tdnn" in done.stderr


def test_places_depend_on_loss_tree_and_language_model(toy_recipe, tmp_path):
    conf, data = tmp_path / "egs/toy/s5/conf", tmp_path / "egs/toy/s5/exp/data"
    (conf / "trees").mkdir()
    (conf / "units").mkdir()
    for name in ("lang_small", "trees/cd", "trees/big", "units/letters"):
        (conf / f"{name}.yaml").touch()

    def lang_and_ali(*args):
        _, said = toy_recipe(*args)
        return [word.partition("=")[2] for word in said if "data.lang=" in word or "data.ali=" in word]

    assert lang_and_ali() == [f"{data}/lang"]
    assert lang_and_ali("--lm", "small", "--loss", "lfmmi") == [f"{data}/lang_small"]
    assert lang_and_ali("--units", "letters", "--lm", "small") == [f"{data}/lang_letters_small"]
    assert lang_and_ali("--units", "letters", "--loss", "frame_ce")[-1] == f"{data}/ali_letters_cd"
    assert toy_recipe("--units", "letters")[1][-1].endswith("lang_letters")
    assert "conf/units/words.yaml (settings of the units) is missing" in toy_recipe("--units", "words")[0].stderr
    assert lang_and_ali("--loss", "frame_ce") == [f"{data}/lang", f"{data}/ali_cd"]
    assert lang_and_ali("--loss", "frame_ce", "--tree", "mono") == [f"{data}/lang", f"{data}/ali_mono"]
    _, said = toy_recipe("--loss", "frame_ce", "--tree", "big")
    assert any(word.endswith("exp/frame_ce_big_ssgd_n2_seed0") for word in said)
    # A given alignment is the one; and what settings choose counts as what --loss does.
    assert lang_and_ali("--loss", "frame_ce", "--set", "data.ali=/x")[-1] == "/x"
    (conf / "train.yaml").write_text("epochs: 1\nloss: frame_ce  # hybrid\n")
    assert lang_and_ali()[-1] == f"{data}/ali_cd"


@pytest.mark.parametrize(("lm", "named"), [("", ""), ("small", "small_")])
def test_a_larger_language_model_rescores_what_stage_7_leaves(utils, tmp_path, lm, named):
    (tmp_path / "conf").mkdir()
    for name in ("lang_small.yaml", "decode.yaml"):
        (tmp_path / "conf" / name).touch()
    code = (
        f". {utils}/recipe.sh; here={tmp_path} exp_dir={tmp_path}/exp learners=1 lm={lm} rescore_lm=large.arpa; "
        'begin_recipe; need() { :; }; asrpar() { echo "$@"; }; decode_sets dev test; score_sets dev test'
    )
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . {utils}/common.sh; {code}"], capture_output=True, text=True, cwd=tmp_path
    )
    decode, rescore, *scores = done.stdout.splitlines()
    assert done.returncode == 0 and " --set lattices=true " in decode and (f"--suffix {lm} " in decode) == bool(lm)
    assert f"--lm {tmp_path}/large.arpa --dev dev --test test " in rescore and (f"--from {lm} " in rescore) == bool(lm)
    assert rescore.endswith(f"--suffix {named}rescored")
    assert [line.partition("data/manifests")[2].split() for line in scores] == [
        ["--suffix", lm] if lm else [], ["--suffix", f"{named}rescored"]
    ]  # fmt: skip


def test_a_comparison_looks_at_all_runs_before_any(repo, tmp_path):
    command = ["bash", repo / "utils/run_strategies.sh", "--runs", "ssgd:0 bmuf", repo / "egs/mini/s5", "--exp-dir"]
    done = subprocess.run([*map(str, command), str(tmp_path / "exp")], capture_output=True, text=True)
    assert done.returncode == 1 and "bmuf: expected STRATEGY:SEED" in done.stderr
    assert not (tmp_path / "exp").exists()


def common(utils, code, *args):
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . {utils}/common.sh; {code}", "recipe", *args],
        capture_output=True,
        text=True,
    )


def test_stages_from_and_to(utils):
    code = 'stage=2 stop_stage=3; for n in 1 2 3 4; do if begin_stage $n "number $n"; then echo "$n"; fi; done'
    done = common(utils, code)
    assert done.stdout.split() == ["2", "3"]
    assert "stage 2: number 2" in done.stderr


def test_need_names_the_stage(utils, tmp_path):
    done = common(utils, f"need {tmp_path} 1 'a folder'; need {tmp_path}/x 3 'the lexicon'; echo not reached")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"recipe: error: {tmp_path}/x (the lexicon) is missing: run stage 3 first (--stage 3)\n"


@pytest.mark.parametrize(
    ("stage", "stop_stage", "says"),
    [
        (7, 8, "WER of bmuf on 2 learner(s): {exp}/decode_test/wer.json"),
        (7, 100, "WER of bmuf on 2 learner(s): {exp}/decode_test/wer.json"),
        (6, 7, "stage 7 was the last"),
        (9, 8, "nothing to do: no stage from --stage 9 to --stop-stage 8"),
    ],
)
def test_the_end_of_a_recipe_names_what_this_run_made(utils, tmp_path, stage, stop_stage, says):
    exp = tmp_path / "bmuf_n2_seed0"
    (exp / "decode_test").mkdir(parents=True)
    (exp / "decode_test" / "wer.json").touch()  # of an earlier run, where this one does not reach stage 8
    code = (
        f". {utils}/recipe.sh; here={tmp_path} exp_dir={tmp_path} strategy=bmuf "
        f"stage={stage} stop_stage={stop_stage}; begin_recipe; "
        "for n in 6 7 8; do if begin_stage $n title; then :; fi; done; end_recipe test"
    )
    done = common(utils, code)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1].endswith(says.format(exp=exp))


@pytest.mark.parametrize(("train_cmd", "named"), [("", True), ("utils/local.sh", True), ("screen", False)])
def test_a_launcher_ends_with_its_recipe(utils, tmp_path, train_cmd, named):
    (tmp_path / "utils").mkdir()
    programs = {"asrpar": 'echo "$@:$ASRPAR_END_WITH"', "utils/local.sh": 'shift; "$@"', "screen": 'shift; "$@"'}
    for name, what in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{what}\n")
        (tmp_path / name).chmod(0o755)
    code = (
        f". {utils}/recipe.sh; PATH={tmp_path}:$PATH exp=x learners=2 oversubscribe=true; "
        f"train_cmd={train_cmd and tmp_path / train_cmd}; around_me=; end_with_me; echo $$; launch -- train"
    )
    script, said = common(utils, code).stdout.splitlines()
    assert said.startswith("launch --learners 2 --oversubscribe -- train:")
    assert (script == said.partition("train:")[2].partition("@")[0]) == named


def test_a_recipe_without_scores_of_that_set_names_its_last_stage(utils, tmp_path):
    code = (
        f". {utils}/recipe.sh; here={tmp_path} exp_dir={tmp_path} learners=1 stage=8 stop_stage=8; begin_recipe; "
        "begin_stage 8 scores; end_recipe test"
    )
    assert common(utils, code).stderr.endswith("stage 8 was the last\n")


@pytest.mark.parametrize(("code", "calls"), [(143, 2), (130, 2), (140, 2), (138, 3), (1, 3)])
def test_a_comparison_that_is_interrupted_does_not_go_on(tmp_path, utils, code, calls):
    (tmp_path / "run.sh").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$4" = 5 ] || exit {code}\n')
    (tmp_path / "run.sh").chmod(0o755)
    command = [utils / "run_strategies.sh", "--runs", "single:0 ssgd:0", tmp_path, "--exp-dir", tmp_path / "exp"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert len((tmp_path / "calls").read_text().splitlines()) == calls
    assert done.returncode == (code if calls == 2 else 1)
    assert ("was stopped" in done.stderr) == (code != 1)


@pytest.mark.parametrize("form", ["--{}={}", "--{} {}"])
def test_a_comparison_passes_on_the_options_of_its_recipe(tmp_path, utils, form):
    recipe, exp = tmp_path / "recipe", tmp_path / "exp"
    recipe.mkdir()
    (recipe / "run.sh").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    (recipe / "run.sh").chmod(0o755)
    options = [word for key, value in (("exp-dir", exp), ("learners", 4)) for word in form.format(key, value).split()]
    command = ["bash", utils / "run_strategies.sh", "--runs", "single:0 ssgd:1", recipe, *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    # The stub scores nothing.
    assert "nothing was scored" in done.stderr
    first, single, ssgd = (tmp_path / "calls").read_text().splitlines()
    assert first.endswith("--stop-stage 5")
    assert "--strategy single --learners 1 --name single_n1_seed0" in single
    assert "--strategy ssgd --learners 4 --name ssgd_n4_seed1" in ssgd


def test_features_of_sets_with_options(utils, tmp_path):
    code = (
        f". {utils}/recipe.sh; data_dir={tmp_path}; mkdir {tmp_path}/manifests; "
        'asrpar() { printf "%s|" "$@"; }; extract_features train dev --set "speeds=[1.0]"'
    )
    done = common(utils, code)
    assert done.stdout == (
        f"extract-features|--config|conf/feats.yaml|--manifests|{tmp_path}/manifests|--output|{tmp_path}/feats|"
        "--splits|train,dev|--set|speeds=[1.0]|"
    )


@pytest.mark.parametrize("failing", ["", "2"])
def test_stages_2_and_7_in_jobs_of_an_array(utils, tmp_path, failing):
    """Real jobs of utils/local.sh; the commands only say what they are asked for."""
    (tmp_path / "asrpar").write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$*" in *"--part {failing or 9} "*) exit 1;; esac\n'
    )
    (tmp_path / "asrpar").chmod(0o755)
    (tmp_path / "manifests").mkdir()
    code = (
        f". {utils}/recipe.sh; PATH={tmp_path}:$PATH data_dir={tmp_path} exp={tmp_path}/exp graph_dir=g lang_dir=l "
        "lm='' rescore_lm='' feats_parts=3 decode_parts=2; need() { :; }; extract_features train; decode_sets dev a b"
    )
    done = common(utils, code)
    calls = (tmp_path / "calls").read_text().splitlines()
    parts = [call.partition(" --part ")[2] for call in calls if call.startswith("extract-features")]
    assert sorted(parts)[-3:] == ["1 --parts 3", "2 --parts 3", "3 --parts 3"]
    if failing:
        assert done.returncode == 1 and "job 2 failed (exit code 1)" in done.stderr and len(calls) == 3
        return
    assert done.returncode == 0 and calls[3].endswith("--splits train --parts 3")
    first, *others, last = [call.partition(" --dev ")[2] for call in calls[4:]]
    assert (first, last) == ("dev --test ", " --test a,b --parts 2")
    assert sorted(others) == [f" --test a,b --part {n} --parts 2" for n in (1, 2)]
    logs = ["decode_dev.log", "decode_test.1.log", "decode_test.2.log"]
    assert sorted(p.name for p in (tmp_path / "exp/log").iterdir()) == logs and (tmp_path / "log/feats.3.log").exists()


def test_parts_are_numbers(utils, tmp_path):
    code = f". {utils}/recipe.sh; here={tmp_path} exp_dir={tmp_path} learners=1 feats_parts=x; begin_recipe"
    assert "--feats-parts x: expected a whole number of at least 1" in common(utils, code).stderr
