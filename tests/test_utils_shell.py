"""utils/*.sh: options of recipes, and the job launcher for this machine."""

import itertools
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

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
def utils(repo):
    return repo / "utils"


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


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--set", "seed=3", "epochs=1", "--strategy", "bmuf"], "'epochs=1' is no option"),
        (["-stage", "7"], "'-stage' is no option"),
        (["--set", "strategy=bmuf"], "give --strategy bmuf"),
        (["--set", "model=tdnn"], "give --model tdnn"),
        (["--loss", "../ctc"], "--loss ../ctc: expected a name"),
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


CORPORA = ("mini", "yesno", "an4", "mini_librispeech")


@pytest.mark.parametrize("corpus", CORPORA)
def test_help_works_before_anything_is_installed(repo, tmp_path, corpus):
    shutil.copytree(repo / "utils", tmp_path / "clone/utils")
    shutil.copytree(repo / f"egs/{corpus}", tmp_path / f"clone/egs/{corpus}", ignore=shutil.ignore_patterns("exp"))
    path = tmp_path / "bin"
    path.mkdir()
    for tool in ("bash", "dirname", "head"):
        (path / tool).symlink_to(shutil.which(tool))
    run = tmp_path / f"clone/egs/{corpus}/s5/run.sh"
    for words in ([run], ["bash", os.path.relpath(run, "/")]):  # from another folder
        done = subprocess.run([*words, "--help"], capture_output=True, text=True, env={"PATH": str(path)}, cwd="/")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"[{run.parent}/exp]" in done.stdout
    done = subprocess.run([run, "--stage", "1"], capture_output=True, text=True, env={"PATH": str(path)}, cwd="/")
    assert done.returncode == 1
    assert done.stderr == f"run.sh: error: asrpar is not installed: run 'make setup' in {tmp_path}/clone\n"


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


@pytest.fixture
def toy_recipe(tmp_path, utils):
    """A recipe that prints what it would train with."""
    folder = tmp_path / "egs/toy/s5"
    for name in ("conf/models/big", "conf/models/wrong", "conf/losses/smooth", "conf/strategies/bmuf"):
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
        f"train_cmd={train_cmd and tmp_path / train_cmd}; echo $$; launch -- train"
    )
    script, said = common(utils, code).stdout.splitlines()
    assert said.startswith("launch --learners 2 --oversubscribe -- train:")
    assert (script in said.rpartition(":")[2].split()) == named


def test_a_recipe_without_scores_of_that_set_names_its_last_stage(utils, tmp_path):
    code = (
        f". {utils}/recipe.sh; here={tmp_path} exp_dir={tmp_path} learners=1 stage=8 stop_stage=8; begin_recipe; "
        "begin_stage 8 scores; end_recipe test"
    )
    assert common(utils, code).stderr.endswith("stage 8 was the last\n")


def local(utils, *args, cwd=None):
    return subprocess.run([str(utils / "local.sh"), *map(str, args)], capture_output=True, text=True, cwd=cwd)


def test_each_job_has_its_number_and_its_log(utils, tmp_path):
    done = local(utils, "JOB=1:3", "log/x.JOB.log", "echo", "part JOB", "of 3;", "JOB", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for i in (1, 2, 3):
        first, started, said, ended = (tmp_path / f"log/x.{i}.log").read_text().splitlines()
        assert first == rf"# command: echo part\ {i} of\ 3\; {i} "
        assert started.startswith("# started: 20")
        assert said == f"part {i} of 3; {i}"
        assert ended.startswith("# ended: exit code 0, 20")


def test_any_name_and_a_single_number_and_none(utils, tmp_path):
    assert local(utils, "PART=7", tmp_path / "x.PART.log", "true").returncode == 0
    assert (tmp_path / "x.7.log").exists()
    assert local(utils, tmp_path / "JOB.log", "echo", "JOB").returncode == 0
    assert "\nJOB\n" in (tmp_path / "JOB.log").read_text()


def test_failed_jobs_are_named_with_their_logs(utils, tmp_path):
    code = 'case $1 in 2) exit 5 ;; 3) kill -9 $PPID ;; esac; echo "done $1"'
    done = local(utils, "--max-jobs-run", 2, "JOB=1:4", tmp_path / "x.JOB.log", "bash", "-c", code, "x", "JOB")
    assert done.returncode == 1
    assert f"job 2 failed (exit code 5); its log: {tmp_path}/x.2.log" in done.stderr
    assert f"job 3 failed (killed, or never started); its log: {tmp_path}/x.3.log" in done.stderr
    assert "2 of 4 jobs failed" in done.stderr
    assert "done 4" in (tmp_path / "x.4.log").read_text()


def test_a_job_that_was_asked_to_stop_has_not_failed(utils, tmp_path):
    code = "exit $((136 + $1))"
    done = local(utils, "JOB=2:2", tmp_path / "x.JOB.log", "bash", "-c", code, "x", "JOB")
    assert done.returncode == 138
    assert done.stderr == (
        "local.sh: job 2 was stopped by SIGUSR1, as at the end of its time, and the same command goes on; "
        f"its log: {tmp_path}/x.2.log\n"
    )
    done = local(utils, "JOB=1:2", tmp_path / "x.JOB.log", "bash", "-c", code, "x", "JOB")
    assert done.returncode == 1
    assert "job 1 failed (exit code 137)" in done.stderr and "job 2 was stopped" in done.stderr


def test_an_old_log_does_not_hide_a_failure(utils, tmp_path):
    log = tmp_path / "x.log"
    assert local(utils, log, "true").returncode == 0
    log.chmod(0o644)
    assert local(utils, log, "bash", "-c", "kill -9 $PPID").returncode == 1


def test_a_log_that_is_a_link_or_a_device_stays_one(utils, tmp_path):
    link = tmp_path / "x.log"
    link.symlink_to("elsewhere")
    (tmp_path / "elsewhere").write_text("# ended: exit code 0, of an earlier run\n")
    assert local(utils, link, "true").returncode == 0
    assert link.is_symlink() and (tmp_path / "elsewhere").read_text().startswith("# command: true")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = f". {utils / 'jobs/options.sh'}; parse_job_options {fifo} true; clear_logs"
    assert subprocess.run(["bash", "-c", code]).returncode == 0 and fifo.is_fifo()


def test_command_that_does_not_exist(utils, tmp_path):
    done = local(utils, tmp_path / "x.log", "no-such-program")
    assert done.returncode == 1
    assert "exit code 127" in done.stderr


def test_at_most_so_many_at_once(utils, tmp_path):
    # Each job sees how many run with it: a folder that can be made only once is the room.
    code = f"mkdir {tmp_path}/room && sleep 0.1 && rmdir {tmp_path}/room"
    assert local(utils, "--max-jobs-run", 1, "JOB=1:4", tmp_path / "x.JOB.log", "bash", "-c", code).returncode == 0


def test_threads_reach_the_job(utils, tmp_path, monkeypatch):
    local(utils, "--num-threads", 3, tmp_path / "x.log", "bash", "-c", "echo $OMP_NUM_THREADS")
    assert "\n3\n" in (tmp_path / "x.log").read_text()
    for value, threads in (("5,2", 5), ("", 1), ("all", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        local(utils, tmp_path / "x.log", "bash", "-c", "echo $OMP_NUM_THREADS")
        assert f"\n{threads}\n" in (tmp_path / "x.log").read_text()


def running(pid: str) -> bool:
    """Whether a process is there, and not only a zombie that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stopped_launcher_takes_its_jobs_with_it(utils, tmp_path):
    marker = tmp_path / "pid"
    code = f"echo $$ > {marker}.tmp; mv {marker}.tmp {marker}; sleep 100"
    launcher = subprocess.Popen([str(utils / "local.sh"), str(tmp_path / "x.log"), "bash", "-c", code])
    while not marker.exists():
        assert launcher.poll() is None
        time.sleep(0.02)
    launcher.send_signal(signal.SIGTERM)
    launcher.send_signal(signal.SIGTERM)  # as `timeout` does
    assert launcher.wait(timeout=10) == 143
    deadline = time.monotonic() + 10
    while running(marker.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def started_job(utils, log, *command):
    job = subprocess.Popen([str(utils / "jobs/run_job.sh"), "", "1", str(log), *map(str, command)])
    deadline = time.monotonic() + 30
    while not (log.exists() and "ready" in log.read_text().splitlines()):
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job


@pytest.mark.parametrize(("name", "number"), [("USR1", 10), ("USR1", 12), ("TERM", 15)])
def test_a_job_hands_signals_on_and_waits_for_its_command(utils, tmp_path, name, number):
    log = tmp_path / "x.log"
    code = f'trap "sleep 0.2; echo saved; exit 7" {name}; echo ready; while true; do sleep 0.05; done'
    job = started_job(utils, log, "bash", "-c", code)
    job.send_signal(number)
    assert job.wait(timeout=10) == 7
    said, ended = log.read_text().splitlines()[-2:]
    assert said == "saved"
    assert ended.startswith("# ended: exit code 7,")


def test_a_command_that_does_not_know_the_signal_is_left_alone(utils, tmp_path):
    log = tmp_path / "x.log"
    go_on = tmp_path / "go on"
    job = started_job(utils, log, "bash", "-c", f"echo ready; until [ -e '{go_on}' ]; do sleep 0.05; done; echo well")
    job.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    go_on.touch()
    assert job.wait(timeout=10) == 0
    assert log.read_text().splitlines()[-2] == "well"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_asrpar_launch_gets_sigusr1_even_if_its_handler_is_late(utils, tmp_path, number):
    program = tmp_path / "asrpar"
    program.write_text(
        "#!/usr/bin/env bash\necho ready\nsleep 0.5\n"
        "trap 'echo term; exit 143' TERM\ntrap 'echo usr1; exit 138' USR1\n"
        "while true; do sleep 0.05; done\n"
    )
    program.chmod(0o755)
    job = started_job(utils, tmp_path / "x.log", program, "launch", "--learners", 2, "--", "train")
    job.send_signal(number)
    assert job.wait(timeout=20) == 138
    assert (tmp_path / "x.log").read_text().splitlines()[-2] == "usr1"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["JOB=1:3", "x.log", "true"], "must contain JOB"),
        (["JOB=0:3", "x.JOB.log", "true"], "expected FIRST:LAST"),
        (["JOB=3:1", "x.JOB.log", "true"], "expected FIRST:LAST"),
        (["JOB=1:3", "x.JOB.log"], "a log file and a command are needed"),
        (["--memory", "4G", "x.log", "true"], "unknown option --memory"),
        (["--num-threads", "two", "x.log", "true"], "--num-threads two: expected a whole number"),
        (["--mem"], "--mem: a value is missing"),
    ],
)
@pytest.mark.parametrize("launcher", ["local.sh", "slurm.sh"])
def test_wrong_arguments(utils, tmp_path, launcher, args, says):
    done = subprocess.run([str(utils / launcher), *args], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{launcher}: error: " in done.stderr
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_slurm_launcher_without_slurm(utils, tmp_path):
    path = tmp_path / "bin"
    path.mkdir()
    for tool in ("bash", "dirname"):
        (path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        [str(path / "bash"), str(utils / "slurm.sh"), str(tmp_path / "x.log"), "true"],
        capture_output=True, text=True, env={"PATH": str(path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "no sbatch on PATH" in done.stderr


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
