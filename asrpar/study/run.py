"""Run the cells of a study: processes side by side, each cell after what it needs."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import IO

from asrpar.errors import AsrparError
from asrpar.files.json_files import read_json_if_any
from asrpar.files.lock import alone
from asrpar.files.paths import naming
from asrpar.launch.guard import CHILD_OF
from asrpar.launch.rank import progress_stream
from asrpar.study.folder import CellFolder, Places
from asrpar.study.reuse import take_over, trained_cells
from asrpar.study.twins import derive, in_order, twins
from asrpar.workers import check_jobs

PROGRAM = (sys.executable, "-P", "-m", "asrpar")
# Seconds that a process has to end itself.
PATIENCE = 10.0


class Stopped(Exception):
    """The study was interrupted while this cell ran."""


class Processes:
    """Runs commands, several at a time, and can end them all.

    Args:
        program: what comes before the arguments of ``asrpar``.
        lock: a file that they all keep open, so that a lock on it lasts as long as the last of them.
    """

    def __init__(self, program: Sequence[str], lock: IO[str]) -> None:
        self.program, self.lock = list(program), lock
        self.running: set[subprocess.Popen] = set()
        self.guard = threading.Lock()
        self.stopped = False
        # Cells share the cores; one thread in each also makes their results independent of the machine's size.
        threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name not in os.environ}
        self.environment = os.environ | threads | {CHILD_OF: str(os.getpid())}

    def run(self, arguments: Sequence[str], log: Path) -> int:
        """One command, its output added to ``log``; returns its exit status. `Stopped` if `stop` was called."""
        command = [*self.program, *arguments]
        with log.open("a", encoding="utf-8") as file:
            with naming(log):
                file.write(shlex.join(command) + "\n")
                file.flush()
            with self.guard:
                if self.stopped:
                    raise Stopped
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=self.environment,
                    # Of its own group, so that all of it can be ended, and Ctrl-C reaches the study alone.
                    start_new_session=True,
                    pass_fds=(self.lock.fileno(),),
                )
                self.running.add(process)
            status = process.wait()
        with self.guard:
            self.running.discard(process)
            if self.stopped:
                raise Stopped
        return status

    def stop(self) -> None:
        """End all of them, and begin no more."""
        with self.guard:
            self.stopped = True
            left = list(self.running)
        deadline = time.monotonic() + PATIENCE
        for process in left:
            _signal(process, signal.SIGTERM)
        for process in left:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen, number: int) -> None:
    # A group whose first process has been waited for may be somebody else's by now.
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def run_cell(
    folder: CellFolder,
    places: Places,
    processes: Processes,
    twin: CellFolder | None = None,
    known: Path | None = None,
) -> str:
    """Do what is left of one cell; returns what went wrong, or an empty string.

    Its training may be derived from a ``twin``, or be ``known``, another study's cell.
    """
    try:
        trained = folder.is_ours() and folder.trained()
        trained = trained or take_over(known, folder, places)
        if not trained and not (twin is not None and derive(twin, folder)):
            folder.begin()
            if processes.run(folder.training(places), folder.log):
                return folder.last_line()
            if not folder.trained():
                return "asrpar simulate ended without train.json and final.pt"
        if not folder.scored():
            folder.write_note()
            folder.forget_words()
            for arguments in folder.scoring(places):
                if processes.run(arguments, folder.log):
                    return folder.last_line()
            folder.write_note(decoding=folder.decoding)
            if not folder.scored():
                return "asrpar score ended without wer.json"
    except (AsrparError, OSError) as e:
        return " ".join(str(e).split())
    return ""


def outcome(folder: CellFolder) -> str:
    """A finished cell in a few words."""
    train = read_json_if_any(folder.path / "train.json")
    words = []
    if train.get("dev_loss") is not None:
        words.append(f"dev loss {train['dev_loss']:.4f}")
    for name in folder.sets if folder.study.decode else []:
        wer = read_json_if_any(folder.path / f"decode_{name}" / "wer.json").get("wer")
        words.append(f"{name} WER {wer:.2f} %" if wer is not None else f"{name} not scored")
    if train.get("train_seconds") is not None:
        words.append(f"{train['train_seconds']:.1f} virtual s")
    return ", ".join(words)


def run_study(
    folders: Sequence[CellFolder],
    places: Places,
    exp_dir: Path,
    jobs: int,
    say: Callable[[str], None],
    program: Sequence[str] = PROGRAM,
    reuse: Sequence[Path] = (),
) -> dict[str, str]:
    """Run all cells that are not finished, ``jobs`` at a time.

    Args:
        folders: all cells.
        places: the data.
        exp_dir: of the study.
        jobs: processes side by side.
        say: takes one line for each cell that ends, unless there is a terminal for a bar.
        program: what comes before the arguments of ``asrpar``.
        reuse: other studies' folders; cells that are trained there are not trained again.

    Returns:
        What went wrong, by the name of the cell.
    """
    for folder in folders:
        folder.places = places
    left = [folder for folder in folders if not folder.finished()]
    done = len(folders) - len(left)
    if done:
        say(f"{done} of {len(folders)} cells are finished already")
    failed: dict[str, str] = {}
    known = trained_cells(reuse)
    pairs = twins(folders)
    for twin in pairs.values():
        twin.both = True
    begun: dict[str, Future] = {}

    def work(folder: CellFolder) -> str:
        twin = pairs.get(folder.cell.name)
        if twin is not None and twin.cell.name in begun:
            # It was begun before this one, so it does not wait for a place among the processes.
            wait([begun[twin.cell.name]])
        return run_cell(folder, places, processes, twin, known.get(folder.cell.digest))

    check_jobs(jobs)
    with alone(exp_dir) as lock, Bar(len(folders), done) as bar:
        processes = Processes(program, lock)
        with ThreadPoolExecutor(jobs) as pool:
            waiting = {}
            for folder in in_order(left, pairs, jobs):
                begun[folder.cell.name] = pool.submit(work, folder)
                waiting[begun[folder.cell.name]] = folder
            try:
                for future in _as_they_end(set(waiting)):
                    folder, done, wrong = waiting[future], done + 1, future.result()
                    name, count = folder.cell.name, f"[{done}/{len(folders)}]"
                    if wrong:
                        failed[name] = wrong
                        bar.say(f"{count} {name} failed: {wrong}", say, always=True)
                    else:
                        bar.say(f"{count} {name}: {outcome(folder)}", say)
                    bar.step(len(failed))
            except BaseException:
                for future in waiting:
                    future.cancel()
                processes.stop()
                raise
    return failed


def _as_they_end(futures: set[Future]) -> Iterator[Future]:
    """In short waits, between which a signal is heard."""
    while futures:
        ended, futures = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
        yield from ended


class Bar:
    """A progress bar where there is a terminal; elsewhere lines."""

    def __init__(self, total: int, done: int) -> None:
        self.bar = None
        stream = progress_stream()
        if stream is not None:
            from tqdm import tqdm

            self.bar = tqdm(total=total, initial=done, unit="cell", file=stream)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def say(self, line: str, elsewhere: Callable[[str], None], *, always: bool = False) -> None:
        """A line; above the bar only if it must be seen ``always``."""
        if self.bar is None:
            elsewhere(line)
        elif always:
            self.bar.write(line, file=self.bar.fp)

    def step(self, failed: int) -> None:
        """One more cell has ended."""
        if self.bar is not None:
            if failed:
                self.bar.set_postfix(failed=failed, refresh=False)
            self.bar.update()
