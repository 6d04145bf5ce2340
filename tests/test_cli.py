"""The command line as a whole: help, speed by what is imported, unknown commands, exit codes."""

import fcntl
import os
import subprocess
import sys
import time

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from asrpar.cli import COMMANDS, cli, main
from asrpar.errors import DataError

HEAVY = {"torch", "numpy", "lhotse", "mpi4py", "kaldifst", "omegaconf", "scipy"}


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_help_lists_all_commands_and_imports_nothing_heavy():
    done = run_python(
        "import sys, asrpar.cli\n"
        "try:\n    asrpar.cli.main(['--help'])\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)"
    )
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout
    loaded = set(done.stderr.split())
    assert not HEAVY & loaded
    # Time follows from what is loaded; this is what `asrpar --help` may cost at most.
    assert len(loaded) < 250
    assert not [m for m in loaded if m.startswith("asrpar.commands.")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    done = CliRunner().invoke(cli, [name, "--help"], prog_name="asrpar")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Usage: asrpar {name} ")


def test_every_option_has_help():
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"asrpar {name} {parameter.opts[0]}"


def test_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith("asrpar, version ")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["trian"], 1, "command 'trian' is unknown; did you mean 'train'?"),
        (["xyzzy"], 1, "command 'xyzzy' is unknown; known: info, help, launch,"),
        (["train", "--learners", "2"], 2, "'--learners': learners are started by asrpar launch --learners N -- train"),
        (
            ["train", "--epochs", "2"],
            2,
            "'--epochs': settings are given as --set KEY=VALUE, and asrpar help settings lists",
        ),
        (["train", "--model", "tdnn"], 2, "'--model': settings are given as --set KEY=VALUE"),
        (["train", "--loss", "ctc"], 2, "'--loss': settings are given as --set KEY=VALUE"),
        (["info", "--jsn"], 2, "No such option '--jsn'"),
        (["info", "extra"], 2, "unexpected extra argument"),
        (["launch", "--", "train"], 1, "--learners"),
    ],
)
def test_mistakes_end_in_one_line(capsys, args, code, says):
    with pytest.raises(SystemExit) as exit_:
        main(args)
    err = capsys.readouterr().err
    assert exit_.value.code == code
    assert err.startswith("asrpar: error: ")
    assert says in err
    assert err.count("\n") == 1


def test_tab_completes_commands_options_and_files(monkeypatch):
    monkeypatch.setenv("_ASRPAR_COMPLETE", "bash_complete")
    shell = BashComplete(cli, {}, "asrpar", "_ASRPAR_COMPLETE")
    assert "_asrpar_completion" in shell.source()

    def offered(*words):
        return [(item.type, item.value) for item in shell.get_completions(list(words[:-1]), words[-1])]

    assert offered("sco") == [("plain", "score")]
    assert ("plain", "--graph") in offered("decode", "--")
    assert offered("decode", "--exp", "e") == offered("train", "--config", "e") == [("file", "e")]
    for words in (["transcribe", "--exp", "x"], ["import-kaldi"], ["export-kaldi"], ["export-kaldi", "--features"]):
        assert offered(*words, "e") == [("file", "e")], words
    assert offered("launch", "--launcher", "open") == [("plain", "openmpi")]


def test_asrpar_alone_shows_its_help(capsys):
    with pytest.raises(SystemExit) as exit_:
        main([])
    err = capsys.readouterr().err
    assert exit_.value.code == 2
    assert err.startswith("Usage: asrpar ") and "error" not in err.splitlines()[0]
    assert all(f"\n  {name} " in err for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_misspelt_option_is_named_with_the_nearest(capsys, name):
    """Before anything else that is wrong, such as that the option is missing."""
    command = cli.get_command(click.Context(cli), name)
    for option in (opt for p in command.params if isinstance(p, click.Option) for opt in p.opts if len(opt) > 4):
        for wrong in (option[:-2] + option[-1] + "z", f"{option}x", option[1:]):
            with pytest.raises(SystemExit) as exit_:
                main([name, wrong, "1"])
            err = capsys.readouterr().err
            assert exit_.value.code == 2
            assert err.startswith(f"asrpar: error: No such option '{wrong}'; did you mean '{option}'?"), err
            assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DataError("utt1: no audio\nin wav.scp"), 1, "asrpar: error: utt1: no audio in wav.scp\n"),
        (OSError(28, "No space left on device", "x.pt"), 1, "asrpar: error: No space left on device: x.pt\n"),
        (FileExistsError(17, "File exists", "/dev/null"), 1, "asrpar: error: /dev/null is no folder; choose another\n"),
        (
            NotADirectoryError(20, "Not a directory", "/dev/null/a/b"),
            *(1, "asrpar: error: /dev/null is no folder: /dev/null/a/b cannot be in it\n"),
        ),
        (OSError(40, "Too many levels of symbolic links"), 1, "asrpar: error: [Errno 40] Too many levels of symb"),
        (MemoryError(), 1, "asrpar: error: out of memory: smaller batches or a smaller model need less\n"),
        (RuntimeError("CUDA out of memory. Tried to\nallocate"), 1, "asrpar: error: out of memory (CUDA out of mem"),
        (KeyboardInterrupt(), 130, "asrpar: error: interrupted\n"),
        (click.ClickException("no"), 1, "asrpar: error: no\n"),
    ],
)
def test_exit_codes(monkeypatch, capsys, error, code, says):
    def fail(**_):
        raise error

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == code
    assert capsys.readouterr().err.startswith(says)


@pytest.mark.parametrize("bug", [KeyError("bug"), RuntimeError("bug")])
def test_a_programming_error_keeps_its_traceback(monkeypatch, bug):
    def fail(**_):
        raise bug

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(type(bug)):
        main([])


def test_runs_as_a_module_from_any_folder(tmp_path):
    env = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-m", "asrpar", "trian"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "asrpar: error: command 'trian' is unknown; did you mean 'train'?\n"


def test_whoever_reads_may_have_heard_enough():
    code = "import asrpar.cli as c; c.cli.main = lambda **_: [print('x' * 999) for _ in range(999)]; c.main()"
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -1 >/dev/null; exit ${PIPESTATUS[0]}', "bash", sys.executable, "-c", code],
        stderr=subprocess.PIPE,
    )
    assert (done.returncode, done.stderr) == (141, b"")


CHILD = """
import sys, time
import asrpar.cli

asrpar.cli.cli.main = lambda **_: (print("running", flush=True), time.sleep(600))
asrpar.cli.main(["info"])
"""
PARENT = """
import subprocess, sys
from pathlib import Path
from asrpar.files.lock import alone
from asrpar.study.run import Processes

with alone(sys.argv[1]) as lock:
    Processes([sys.executable, "-c", sys.argv[2]], lock).run([], Path(sys.argv[1], "cell.log"))
"""


def test_a_cell_ends_with_its_study_however_that_ends(tmp_path):
    log = tmp_path / "cell.log"
    study = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), CHILD])
    while not (log.exists() and "running" in log.read_text().splitlines()):
        assert study.poll() is None
        time.sleep(0.02)
    study.kill()
    study.wait()
    with (tmp_path / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits as long as the cell keeps it
