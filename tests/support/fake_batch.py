"""A small PBS and a small LSF: qsub, qstat, qdel and bsub, bjobs, bkill, as far as their manuals describe what is used.

`install` puts them into a folder. They parse the options and the directives of a script, refuse what the manuals do not
know, and run the job in the background on this machine, in the environment and the folder that the system gives it. For
each job there is a folder STATE/ID with `job.json`: what was asked for.
"""

import getopt
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

MINUTE = "FAKE_MINUTE"  # seconds of a minute of LSF, whose limits know nothing smaller
PBS_OPTIONS = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
LSF_OPTIONS = {"-J", "-o", "-e", "-n", "-R", "-gpu", "-W", "-wa", "-wt", "-q", "-P", "-app", "-M", "-m", "-x", "-G"}
LSF_FLAGS = {"-r", "-rn", "-x", "-B", "-N"}


def install(bin_folder: Path, state: Path) -> None:
    """Programs in ``bin_folder`` that keep their jobs in ``state``."""
    for folder in (bin_folder, state):
        folder.mkdir()
    for name in ("qsub", "qstat", "qdel", "bsub", "bjobs", "bkill"):
        program = bin_folder / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E {__file__} {name} {state} "$@"\n')
        program.chmod(0o755)


class Refused(Exception):
    """Wrong input, in words."""


def need(condition: object, *words: object) -> None:
    if not condition:
        raise Refused(" ".join(map(str, words)))


def directives(script: str, word: str) -> list[str]:
    """Options in the comments before the first command."""
    found: list[str] = []
    for line in script.splitlines()[1:]:
        if line.startswith(word + " "):
            found += shlex.split(line[len(word) :])
        elif line.strip() and not line.startswith("#"):
            break
    return found


def pbs(words: list[str]) -> tuple[dict[str, object], list[str]]:
    """Options of qsub by letter (those of -l by resource), and what is left."""
    try:
        given, rest = getopt.getopt(words, PBS_OPTIONS)
    except getopt.GetoptError as e:
        raise Refused(f"usage: {e}") from e
    job: dict[str, object] = {}
    for option, value in given:
        if option == "-l":
            name, _, wanted = value.partition("=")
            job[name] = wanted
        else:
            job[option[1:]] = value
    need(re.fullmatch(r"[A-Za-z][A-Za-z0-9_.+-]{0,14}", str(job.get("N", "x"))), "illegal -N value", job.get("N"))
    need(job.get("j", "n") in ("oe", "eo", "n"), "illegal -j value")
    need(job.get("r", "y") in ("y", "n"), "illegal -r value")
    if "J" in job:
        found = re.fullmatch(r"(\d+)-(\d+)(%\d+)?", str(job["J"]))
        need(found and int(found[1]) < int(found[2]), "illegal -J value", job["J"])
    need(re.fullmatch(r"(\d+:)?(\d+:)?\d+", str(job.get("walltime", "1"))), "illegal walltime", job.get("walltime"))
    number, *resources = str(job["select"]).split(":")
    need(number.isdigit(), "illegal select", job["select"])
    for resource in resources:
        name, _, value = resource.partition("=")
        known = {"ncpus": r"\d+", "mpiprocs": r"\d+", "ompthreads": r"\d+", "ngpus": r"\d+", "mem": r"\d+[kmgt]?[bw]"}
        need(name in known and re.fullmatch(known[name], value), "illegal resource", resource)
    need(set(job) - {"select", "walltime", "place"} <= set(PBS_OPTIONS), "unknown resource in", list(job))
    return job, rest


def lsf(words: list[str]) -> tuple[dict[str, object], list[str]]:
    """Options of bsub, and what is left."""
    job: dict[str, object] = {}
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in LSF_FLAGS:
            job[option[1:]] = ""
        else:
            need(option in LSF_OPTIONS, "Illegal option:", option)
            need(words, "no value for", option)
            job[option[1:]] = words.pop(0)
    array = re.fullmatch(r"[\w.-]+(\[[\d,-]+\])?(%\d+)?", str(job["J"]))
    need(array and (array[1] or not array[2]), "Bad job name", job["J"])
    sections = r"(span\[(hosts=1|ptile=\d+)\]|rusage\[mem=\d+[KMGT]B\]|affinity\[core\(\d+\)\])"
    need(re.fullmatch(rf"{sections}( {sections})*", str(job.get("R", "span[hosts=1]"))), "Bad resource", job.get("R"))
    need(re.fullmatch(r"num=\d+(/task|/host)?", str(job.get("gpu", "num=1"))), "Bad -gpu", job.get("gpu"))
    need(re.fullmatch(r"(\d+:)?\d+", str(job.get("W", "1"))), "Bad RUNLIMIT specification", job.get("W"))
    if "wa" in job or "wt" in job:
        need(str(job["wt"]).isdigit() and "W" in job, "Bad warning time")
        need(hasattr(signal, f"SIG{job['wa']}"), "Bad warning action")
    return job, words


def numbers(text: str) -> list[int]:
    """Of ``1-3,5``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def submit(system: str, state: Path, words: list[str]) -> str:
    """Make the folder of a job, start what runs it, and return its number."""
    parse, word = {"pbs": (pbs, "#PBS"), "lsf": (lsf, "#BSUB")}[system]
    job, rest = parse(list(words))
    if system == "pbs":
        need(len(rest) == 1, "usage: one script")
        script = Path(rest[0]).read_text()
    else:
        need(not rest, "a command, and not a script from stdin")
        script = sys.stdin.read()
    need(job.get("q") != "nowhere", "Unknown queue")
    inside, _ = parse(directives(script, word))
    need(inside == job, "directives", inside, "and options", job, "differ")
    taken = [int(p.name) for p in state.iterdir()]
    folder = state / str(max(taken, default=0) + 1)
    folder.mkdir()
    (folder / "script").write_text(script)
    (folder / "job.json").write_text(json.dumps({"system": system, "job": job, "from": os.getcwd()}))
    runner = [sys.executable, "-S", "-E", __file__, "run", str(folder)]
    with open(folder / "err", "w") as err:
        started = subprocess.Popen(runner, stdin=subprocess.DEVNULL, stdout=err, stderr=err, start_new_session=True)
    (folder / "pid").write_text(str(started.pid))
    return folder.name


def tasks(job: dict[str, object], system: str) -> tuple[list[int], int]:
    """The indices of a job, 0 if it is no array, and how many of them run at the same time."""
    text = str(job.get("J", ""))
    if system == "lsf":
        text = text.partition("[")[2].replace("]", "")
    listed, _, most = text.partition("%")
    found = numbers(listed) if listed else [0]
    return found, int(most or len(found))


def run(folder: Path) -> None:
    """All tasks of a job, to their end."""
    wanted = json.loads((folder / "job.json").read_text())
    system, job = wanted["system"], wanted["job"]
    left, most = tasks(job, system)
    running: dict[int, tuple[subprocess.Popen, float]] = {}
    warned: set[int] = set()
    limit, warn = limits(job, system)
    busiest = 0
    while left or running:
        while left and len(running) < most:
            index = left.pop(0)
            running[index] = (start(folder, index, system, job, wanted["from"]), time.monotonic())
            busiest = max(busiest, len(running))
            (folder / "busiest").write_text(str(busiest))
        for index, (process, begun) in list(running.items()):
            late = time.monotonic() - begun
            if process.poll() is not None:
                del running[index]
            elif late > limit:
                os.killpg(process.pid, signal.SIGKILL)
            elif late > warn and index not in warned:
                warned.add(index)
                os.killpg(process.pid, getattr(signal, f"SIG{job['wa']}"))
        time.sleep(0.02)
    (folder / "done").touch()


def limits(job: dict[str, object], system: str) -> tuple[float, float]:
    """Seconds until a task is killed, and until it is warned."""
    never = float("inf")
    if system == "pbs":
        seconds = 0
        for part in str(job.get("walltime", "")).split(":"):
            seconds = 60 * seconds + int(part or 0)
        return seconds or never, never
    if "W" not in job:
        return never, never
    minute = float(os.environ.get(MINUTE, "60"))
    *hours, minutes = map(int, str(job["W"]).split(":"))
    whole = 60 * sum(hours) + minutes
    return minute * whole, minute * (whole - int(job["wt"])) if "wt" in job else never


def start(folder: Path, index: int, system: str, job: dict, submitted_from: str) -> subprocess.Popen:
    """One task: its environment, its folder, its output."""
    env = dict(os.environ)
    host = socket.gethostname()
    if system == "pbs":
        chunks, *resources = job["select"].split(":")
        each = dict(r.split("=") for r in resources)
        if "V" not in job:
            env = {k: v for k, v in env.items() if k in ("HOME", "PATH", "USER", "SHELL")}
        nodes = folder / "nodes"
        nodes.write_text(f"{host}\n" * (int(chunks) * int(each["mpiprocs"])))
        env |= {"PBS_JOBID": f"{folder.name}.fake", "PBS_NODEFILE": str(nodes), "PBS_ENVIRONMENT": "PBS_BATCH"}
        env |= {"PBS_O_WORKDIR": submitted_from, "OMP_NUM_THREADS": each["ompthreads"], "NCPUS": each["ncpus"]}
        if index:
            env["PBS_ARRAY_INDEX"] = str(index)
        cwd, output = env["HOME"], job["o"].replace("^array_index^", str(index))
    else:
        env |= {"LSB_JOBID": folder.name, "LSB_JOBINDEX": str(index), "LSB_MCPU_HOSTS": f"{host} {job['n']}"}
        cwd, output = submitted_from, str(Path(submitted_from, job["o"].replace("%I", str(index))))
    with open(output, "a") as out:
        shell = [job.get("S", "/bin/bash"), str(folder / "script")]
        return subprocess.Popen(
            shell, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def show(system: str, state: Path, words: list[str]) -> int:
    """qstat ID; bjobs -noheader -o stat ID. PBS forgets ended jobs, LSF shows them."""
    if system == "lsf":
        need(words[:3] == ["-noheader", "-o", "stat"], "usage")
    number = words[-1].partition(".")[0]
    folder = state / number
    done = (folder / "done").exists()
    if not folder.is_dir() or (done and system == "pbs"):
        said = f"qstat: Unknown Job Id {words[-1]}" if system == "pbs" else f"Job <{number}> is not found"
        print(said, file=sys.stderr)
        return 153 if system == "pbs" else 255
    wanted = json.loads((folder / "job.json").read_text())
    for _ in tasks(wanted["job"], system)[0]:
        print("DONE" if done else "RUN")
    return 0


def delete(system: str, state: Path, words: list[str]) -> int:
    """qdel, bkill: what runs the job, and its tasks, which LSF sends SIGINT first."""
    folder = state / words[-1].partition(".")[0]
    pid = int((folder / "pid").read_text())
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(pid, signal.SIGKILL)
    for child in children:
        os.killpg(int(child), signal.SIGINT if system == "lsf" else signal.SIGTERM)
    (folder / "done").touch()
    return 0


def main(program: str, state: Path, words: list[str]) -> int:
    system = "pbs" if program[0] == "q" else "lsf"
    try:
        if program == "qsub":
            print(f"{submit(system, state, words)}.fake")
        elif program == "bsub":
            print(f"Job <{submit(system, state, words)}> is submitted to default queue <normal>.")
        elif program in ("qstat", "bjobs"):
            return show(system, state, words)
        else:
            return delete(system, state, words)
    except Refused as e:
        print(f"{program}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(Path(sys.argv[2]))
    else:
        sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
