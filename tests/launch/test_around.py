"""Commands end with the scripts around them, however these end."""

import os
import subprocess
import sys
import time

import pytest

from asrpar.files.lock import alone_with
from asrpar.launch import around
from asrpar.launch.guard import JOB

AROUND = """
import os, subprocess, sys
child = "import os, sys, time; from asrpar.launch.around import Around; it = Around(); print(it.gone(), flush=True)\\n"
child += "while not it.gone(): time.sleep(0.01)\\nprint('gone', flush=True)"
subprocess.run([sys.executable, "-c", child], env={**os.environ, "ASRPAR_END_WITH": f"1 999999999 x {os.getpid()}"})
"""
# Where C++ has Python's lock, no thread gets it, and nobody answers a signal.
COMMAND = """
import ctypes, signal, sys, time
from asrpar.launch import around
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
watcher = around.end_with_scripts()
print("there", watcher.pid, flush=True)
if sys.argv[1] == "locked":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    ctypes.PyDLL(None).sleep(60)
time.sleep(60)
"""


def test_the_end_of_the_script_around_it_is_noticed():
    script = subprocess.Popen([sys.executable, "-c", AROUND], stdout=subprocess.PIPE, text=True)
    assert script.stdout.readline() == "False\n"
    script.kill()
    assert script.stdout.readline() == "gone\n"
    script.wait()
    script.stdout.close()


def test_a_number_that_is_not_above_us_is_no_script_of_ours(monkeypatch):
    other = subprocess.Popen(["true"])
    other.wait()
    monkeypatch.setenv(around.AROUND, f"{other.pid} {os.getpid()}")
    it = around.Around()
    time.sleep(0.01)
    assert not it.gone() and not it.handles
    it.close()


@pytest.fixture
def script(repo):
    """A script that names itself, and runs a command; its command line."""

    def make(command: str) -> list[str]:
        return ["bash", "-c", f". {repo}/utils/around.sh; end_with_me; {command}; true", "script"]

    return make


@pytest.mark.parametrize("state", ["locked", "free"])
def test_a_command_ends_with_its_script_whatever_it_does(script, state):
    command = [*script('"$@"'), sys.executable, "-c", COMMAND, state]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    word, watcher = process.stdout.readline().split()
    assert word == "there"
    process.kill()
    begin = time.monotonic()
    _, said = process.communicate()  # to the end of the command, which has them too
    assert time.monotonic() - begin < 10
    assert ("ended by SIGTERM" in said) == (state == "free")
    while os.path.exists(f"/proc/{watcher}/cwd"):
        time.sleep(0.01)


def test_a_stage_ends_with_its_script_and_the_next_one_can_begin(script, tmp_path):
    corpus = tmp_path / "corpus"
    command = f"{sys.executable} -m asrpar synthesize --jobs 2 --output {corpus}"
    process = subprocess.Popen(script(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not any(tmp_path.glob(".*.new")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    process.kill()
    begin = time.monotonic()
    process.communicate()  # to the end of the command, and of its workers
    assert time.monotonic() - begin < 10
    with alone_with(corpus):
        assert not any(tmp_path.glob(".*.new")), "it was ended by SIGTERM, and has removed what was half made"


def test_a_script_that_ended_before_anybody_looked_is_known(script, tmp_path):
    # The command, when it begins at last, has another parent.
    late = f"(while [[ -e /proc/$$/cwd ]]; do sleep 0.02; done; exec {sys.executable} -m asrpar info) & disown"
    done = subprocess.run(script(late), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_of_another_session_or_host_nothing_is_known(script, monkeypatch):
    said = subprocess.run(script("echo $ASRPAR_END_WITH"), capture_output=True, text=True).stdout.strip()
    number, start, session, namespace, host = said.split("@")
    assert session == str(os.getsid(0))
    for words, gone in (
        (said, True),
        ("@".join([number, start, "1", namespace, host]), False),
        ("@".join([number, start, session, namespace, host + "x"]), False),
        ("@".join([number, start, session, "pid:[1]", host]), False),
        (number, False),
    ):
        monkeypatch.setenv(around.AROUND, words)
        it = around.Around()
        assert it.gone() == gone, words
        it.close()


def test_ranks_are_left_to_their_launcher(monkeypatch, tmp_path):
    monkeypatch.setenv(around.AROUND, str(os.getppid()))
    monkeypatch.setenv(JOB, str(tmp_path))
    assert around.end_with_scripts() is None
