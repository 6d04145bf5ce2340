"""What the tests of bad input share: a workplace of prepared data to spoil, and the running of one command line."""

import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import warm
from minidata import asrpar, prepare, train_options

from asrpar.files.lock import try_lock

REPO = Path(__file__).resolve().parents[2]
ERROR = re.compile(r"^(?:asrpar|run\.sh): error: ", re.MULTILINE)
# Logs, settings and locks are written before a run can fail; everything else that is new would pass for a result.
LOGS = re.compile(r"(.*/)?(log/.*|\.([\w-]+\.)?lock|config\.yaml|feats\.yaml|report\.txt|tensorboard/.*)")
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    "PYTHONPATH": os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")])),
}


@dataclass(frozen=True)
class Case:
    """One mistake.

    Attributes:
        name: of the test.
        says: pattern that the error line must match; of validate-data, the report's line.
        command: makes the mistake in a `Workplace` and returns the command line: arguments of asrpar, or a script.
        lists: a check that reports all problems on stdout, and no error line.
        file_size: no file may grow beyond so many bytes, as on a full disk; 0 for no limit.
        stdout: file to which stdout goes instead.
        learners: under `asrpar launch` if more than 0.
    """

    name: str
    says: str
    command: "Callable[[Workplace], list]"
    lists: bool = False
    file_size: int = 0
    stdout: str = ""
    learners: int = 0


class Workplace:
    """Prepared data, shared by all tests and left as they are, and an empty folder ``here`` for one test."""

    def __init__(self, shared: Path, here: Path) -> None:
        self.here = here
        self.out = here / "out"
        for name in ("corpus", "manifests", "feats", "lang", "ali", "graph", "exp"):
            setattr(self, name, shared / name)

    def hold(self, folder: Path) -> None:
        """Be the one that writes to a folder, as long as this place is there."""
        folder.mkdir(parents=True)
        self.held = try_lock(folder)

    def copy(self, name: str) -> Path:
        """A copy of a shared folder, to be spoilt."""
        shutil.copytree(getattr(self, name), self.here / name)
        return self.here / name

    def file(self, name: str, content: str | bytes = "") -> Path:
        """A new file."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def blocked(self) -> Path:
        """A folder that not even root can make: its parent is a file."""
        return self.file("file") / "out"

    def train(self, *options: object, **settings: object) -> list:
        """`asrpar train` of a tiny model into ``out``; keyword names use __ for dots."""
        last = [f"--set={k.replace('__', '.')}={v}" for k, v in settings.items()]
        return ["train", *train_options(self.feats.parent, self.out, **TINY), *last, *options]

    def resume(self, *options: object, **settings: object) -> list:
        """`asrpar train`, going on in the copy of ``exp``."""
        return self.train(*options, exp=self.here / "exp", **settings)

    def decode(self, *options: object, exp: Path | None = None, feats: Path | None = None, graph: object = "") -> list:
        """`asrpar decode` in this process alone; ``graph`` None for no graph."""
        given = [] if graph is None else ["--graph", graph or self.graph]
        data = ["--exp", exp or self.copy("exp"), "--feats", feats or self.feats, *given]
        return ["decode", *data, "--jobs", 1, "--set", "lm_scales=[1.0]", *options]

    def features(self, *options: object, manifests: Path | None = None, output: Path | None = None) -> list:
        """`asrpar extract-features` of the training set in this process alone."""
        places = ["--manifests", manifests or self.manifests, "--output", output or self.out]
        return ["extract-features", *places, "--jobs", 1, "--splits", "train", *options]

    def lang_of(self, *options: object, **settings: object) -> list:
        """`asrpar prepare-lang`; keyword names use __ for dots, and phones__ for settings of phones."""
        given = {"phones__lexicon": "lexicon.txt"} | settings
        merged = {re.sub("^phones__", "unit_settings.phones.", k).replace("__", "."): v for k, v in given.items()}
        places = ["--manifests", self.manifests, "--corpus-dir", self.corpus, "--output", self.out]
        return ["prepare-lang", *places, *(f"--set={k}={v}" for k, v in merged.items()), *options]

    def kaldi(self, **files: str) -> Path:
        """A good Kaldi data folder of two utterances, but for the given files (wav_scp is wav.scp)."""
        wav = sorted(self.corpus.glob("wav/train/*/*.wav"))[:2]
        content = {"wav_scp": f"a-1 {wav[0]}\nb-1 {wav[1]}\n", "text": "a-1 ONE\nb-1 TWO\n"}
        content |= {"utt2spk": "a-1 a\nb-1 b\n", "spk2utt": "a a-1\nb b-1\n"}
        for name, text in (content | files).items():
            self.file(f"kaldi/{name.replace('_', '.') if name == 'wav_scp' else name}", text)
        return self.here / "kaldi"

    def scored(self, name: str, ref: str = "ONE (a-1)\n", hyp: str = "ONE (a-1)\n") -> Path:
        """An experiment decoded by hand: ref.trn and hyp.trn of the set test."""
        self.file(f"{name}/decode_test/ref.trn", ref)
        self.file(f"{name}/decode_test/hyp.trn", hyp)
        return self.here / name

    def recipe(self, name: str, *options: object) -> list:
        """A recipe's run.sh, with everything that it makes below ``out``."""
        return [REPO / "egs" / name / "s5" / "run.sh", "--exp-dir", self.out, *options]


TINY = {"strategy": "ssgd", "epochs": 2, "models__tdnn__channels": 8, "models__tdnn__dilations": "[1]"}


def make_shared(folder: Path) -> Path:
    """A corpus of four training utterances with all its stages, and a training of two epochs stopped after one."""
    prepare(folder, train=4, dev=2, test=2)
    data = ["--feats", folder / "feats", "--lang", folder / "lang", "--sets", "train"]
    asrpar("align", *data, "--set", "max_silence=1", "--output", folder / "ali")
    asrpar("train", *train_options(folder, folder / "exp", stop_after_epochs=1, **TINY))
    return folder


def run(case: Case, args: list, cwd: Path) -> subprocess.CompletedProcess:
    """Run a case's command line to its end, in a process group of its own that is ended when time is up."""
    words = list(map(str, args))
    if case.learners:
        words = ["launch", "--learners", str(case.learners), "--", *words]
    command = words if words[0].endswith(".sh") else [*warm.command(words[0]), *words]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (case.file_size, case.file_size))

    with open(case.stdout or os.devnull, "w") as stdout:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=stdout if case.stdout else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=limit if case.file_size else None,
        )
    try:
        out, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # mpirun hands it on to its ranks
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(command, process.returncode, out or "", err)


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, by its path there; links and folders of no file count for nothing."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Files that came, went or changed, but for logs and settings."""
    names = sorted(before.keys() | after.keys())
    return [n for n in names if before.get(n) != after.get(n) and not LOGS.fullmatch(n)]
