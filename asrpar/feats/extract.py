"""Feature extraction of whole splits over several processes."""

import contextlib
import gzip
import json
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, replace
from pathlib import Path

from lhotse import CutSet, MonoCut, load_manifest
from tqdm import tqdm

from asrpar.choices import settle
from asrpar.config import check, save_config
from asrpar.corpus.audio.samples import check_sources
from asrpar.corpus.kaldi.ark import read_matrix, read_scp
from asrpar.corpus.manifests import check_split_name
from asrpar.errors import ConfigError, DataError
from asrpar.feats.config import FeatureConfig, read_settings
from asrpar.feats.fbank import make_extractor
from asrpar.feats.ids import check_ids
from asrpar.feats.report import write_report
from asrpar.feats.shard import ShardResult, ShardTask, extract_shard
from asrpar.feats.stats import save_stats
from asrpar.feats.storages import STORAGES
from asrpar.files.lock import alone
from asrpar.files.paths import check_opens, entries, require_file
from asrpar.files.replacing import replacing, replacing_folder
from asrpar.files.text import odd_character
from asrpar.log import get_logger
from asrpar.workers import Workers

log = get_logger(__name__)

# Where the matrix of each utterance lies, of `from_kaldi`: split → utterance → (archive, byte offset).
Sources = dict[str, dict[str, tuple[str, int]]]

TRAIN = "train"  # the split that gets speed copies and that gives the global statistics


def extract_features(
    config: FeatureConfig, manifests: str | Path, output: str | Path, splits: list[str], jobs: int = 1
) -> dict[str, int]:
    """Compute the features of each split of a MANIFESTS folder into a FEATS folder, or copy those that Kaldi made.

    A split's cuts file appears only when all its features are there. Files do not depend on ``jobs``.

    Returns:
        The number of cuts (speed copies included) of each split.

    Raises:
        MissingInputError, DataError, ConfigError: see the messages; nothing of the failed split is left behind.
    """
    check(config)
    STORAGES.make(config).check()
    manifests, output = Path(manifests), Path(output)
    for split in splits:
        check_split_name(split)
        if split.startswith(TRAIN) and split != TRAIN and set(config.speeds) != {1.0}:
            log.warning("split %s gets no copies at other speeds: only a split called %s does", split, TRAIN)
    cuts = {split: load_cuts(manifests, split) for split in splits}
    sources = {split: _kaldi_sources(manifests, split) for split in splits} if config.from_kaldi else {}
    config = _settle(config, cuts, sources, output)
    for split in splits:
        check_ids(cuts[split], split, _speeds(config, split), STORAGES.make(config))
    with alone(output):
        (output / "storage").mkdir(parents=True, exist_ok=True)
        for split in splits:
            # Cuts of earlier settings must not outlive the description of how they were made.
            (output / f"cuts_{split}.jsonl.gz").unlink(missing_ok=True)
        if not entries(output, "cuts_*.jsonl.gz"):
            for name in ("stats.pt", "report.txt"):
                (output / name).unlink(missing_ok=True)
        save_config(config, output / "feats.yaml")
        return {
            split: _extract_split(config, cuts[split], sources.get(split, {}), output, split, jobs) for split in splits
        }


def _speeds(config: FeatureConfig, split: str) -> list[float]:
    return config.speeds if split == TRAIN else [1.0]


def load_cuts(manifests: Path, split: str) -> list[MonoCut]:
    """The cuts of a split, sorted by id. Raises DataError if they are not one supervision per single-channel cut."""
    path = manifests / f"cuts_{split}.jsonl.gz"
    require_file(path, "stage 1 (asrpar prepare-manifests)")
    try:
        found = load_manifest(path)
        cuts = sorted(found, key=lambda c: c.id)
    except Exception as e:  # damaged gzip, JSON or manifest: each has its own kind
        check_opens(path)
        raise DataError(f"{path} is not a readable cut manifest ({type(e).__name__}): make it again") from e
    if not isinstance(found, CutSet) or not cuts:
        raise DataError(f"{path} holds no cuts: make the manifests again")
    seen: set[str] = set()
    for cut in cuts:
        if not isinstance(cut, MonoCut) or not cut.has_recording or len(cut.supervisions) != 1:
            raise DataError(f"{path}: cut {cut.id} is not one supervision of one channel of a recording")
        fault = _fault(cut)
        if fault:
            raise DataError(f"{path}: cut {cut.id!r} {fault}")
        if cut.id in seen:
            raise DataError(f"{path}: cut {cut.id} is there twice")
        try:
            check_sources(cut.recording)
        except DataError as e:
            raise DataError(f"{path}: cut {cut.id}, {e}") from e
        cut.features = None  # those that others made: new ones take their place
        seen.add(cut.id)
    return cuts


def _fault(cut: MonoCut) -> str | None:
    for what, value in (("id", cut.id), ("text", cut.supervisions[0].text), ("speaker", cut.supervisions[0].speaker)):
        if not isinstance(value, str | None):
            return f"has a {what} that is {type(value).__name__}, not str: make the manifest again"
        odd = odd_character(value or "")
        if odd:
            return f"has the character {odd} in its {what}, which no text has: make the manifest again"
    if not (cut.start >= 0 and cut.duration > 0):
        return f"is from {cut.start:g} to {cut.start + cut.duration:g} s, which is no piece of its recording"
    return None


def _kaldi_sources(manifests: Path, split: str) -> dict[str, tuple[str, int]]:
    path = manifests / f"feats_{split}.scp"
    require_file(path, "stage 1 (asrpar import-kaldi) on a data folder that has a feats.scp")
    return read_scp(path)


def _settle(config: FeatureConfig, cuts: dict[str, list[MonoCut]], sources: Sources, output: Path) -> FeatureConfig:
    """Fix sampling rate and, of Kaldi's features, width; refuse to mix settings within one FEATS folder."""
    old = read_settings(output) if (output / "feats.yaml").exists() else None
    others = [p for p in entries(output, "cuts_*.jsonl.gz") if p.name[5:-9] not in cuts]
    first = next(iter(cuts.values()))[0]
    rate = config.fbank.get("sampling_rate") or (
        old.fbank["sampling_rate"] if old and others else first.recording.sampling_rate
    )
    if not config.resample and not config.from_kaldi:
        for split, those in cuts.items():
            for cut in those:
                if cut.recording.sampling_rate != rate:
                    raise DataError(
                        f"recording {cut.recording.id} of split {split} has {cut.recording.sampling_rate} Hz, "
                        f"expected {rate} Hz; convert it, or set resample: true"
                    )
    if config.normalize == "speaker":
        for those in cuts.values():
            nobody = next((c.id for c in those if not c.supervisions[0].speaker), None)
            if nobody is not None:
                raise DataError(f"normalize: speaker, but cut {nobody} has no speaker in its supervision")
    config = replace(config, fbank={**config.fbank, "sampling_rate": rate})
    settle(config)
    if config.from_kaldi:
        key, place = next((key, place) for entries in sources.values() for key, place in entries.items())
        times = {k: v for k, v in config.fbank.items() if k in ("frame_shift", "frame_length", "sampling_rate")}
        config = replace(config, fbank={"num_filters": read_matrix(key, *place).shape[1], **times})
    else:
        make_extractor(config.fbank)  # a wrong setting is found here, once, not in each process
    if old and others:
        ours, theirs = asdict(config), asdict(old)
        ours["dtype"], theirs["dtype"] = STORAGES.make(config).dtype, STORAGES.make(old).dtype
        changed = [
            k for k in ("from_kaldi", "fbank", "resample", "normalize", "dtype", "min_frames") if ours[k] != theirs[k]
        ]
        if changed:
            raise ConfigError(
                f"{output} holds {', '.join(p.name for p in others)} made with another {changed[0]}: "
                "extract all splits together, or use another folder"
            )
    return config


def _extract_split(
    config: FeatureConfig,
    cuts: list[MonoCut],
    sources: dict[str, tuple[str, int]],
    output: Path,
    split: str,
    jobs: int,
) -> int:
    final = (output / "storage" / split).resolve()  # a link leads to where there is more room
    with replacing_folder(final) as folder:
        results = _run(_tasks(config, cuts, sources, folder, final, split), jobs, split)
        done = sorted((c for r in results for c in r.cuts), key=lambda c: c.id)
        _judge(config, results, len(cuts), output / "report.txt", split)
        STORAGES.make(config).finish(folder)
    merged: dict = {}
    for result in results:
        for speaker, moments in result.speakers.items():
            merged[speaker] = merged[speaker] + moments if speaker in merged else moments
    save_stats(output / "stats.pt", split, merged)
    _write_cuts(done, output / f"cuts_{split}.jsonl.gz")
    return len(done)


def _tasks(
    config: FeatureConfig,
    cuts: list[MonoCut],
    sources: dict[str, tuple[str, int]],
    folder: Path,
    final: Path,
    split: str,
) -> list[ShardTask]:
    speeds = _speeds(config, split)
    # The size of a shard follows from the data alone, so that files do not depend on the number of processes.
    size = min(2000, max(20, -(-len(cuts) // 64)))
    return [
        ShardTask(
            i,
            part := cuts[start : start + size],
            config,
            speeds,
            folder,
            final,
            {cut.id: sources[cut.id] for cut in part if cut.id in sources},
        )
        for i, start in enumerate(range(0, len(cuts), size))
    ]


def _judge(config: FeatureConfig, results: list[ShardResult], number: int, report: Path, split: str) -> None:
    """Write what was found, and raise `DataError` if too many of ``number`` utterances had to be dropped."""
    findings = [f for r in results for f in r.findings]
    dropped = sum(r.dropped for r in results)
    write_report(report, split, number, dropped, findings)
    if dropped > config.max_bad_fraction * number or not any(r.cuts for r in results):
        utterance, _, reason = next(f for f in findings if f[1] == "dropped")
        raise DataError(
            f"{dropped} of {number} utterances of split {split} cannot be used, more than max_bad_fraction = "
            f"{config.max_bad_fraction:g} allows: {report} lists them, first {utterance} ({reason})"
        )
    if findings:
        kept = sum(what == "kept" for _, what, _ in findings)
        log.warning("split %s: %d utterances dropped, %d suspicious: see %s", split, dropped, kept, report)


def _run(tasks: list[ShardTask], jobs: int, split: str) -> list[ShardResult]:
    results: dict[int, ShardResult] = {}
    total = sum(len(t.cuts) for t in tasks)
    # disable=None: a bar only on a terminal.
    with tqdm(total=total, desc=f"features of {split}", unit="utt", disable=None) as bar:
        for result, task in _results(tasks, min(jobs, len(tasks))):
            results[result.index] = result
            bar.update(len(task.cuts))
    return [results[i] for i in sorted(results)]


def _results(tasks: list[ShardTask], jobs: int) -> Iterator[tuple[ShardResult, ShardTask]]:
    if jobs <= 1:
        for task in tasks:
            yield extract_shard(task), task
        return
    with Workers(jobs, "forkserver", preload=["asrpar.feats.shard"]) as pool:
        futures = {pool.submit(extract_shard, task): task for task in tasks}
        for future in as_completed(futures):
            yield pool.result(future, "features"), futures[future]


def _write_cuts(cuts: list[MonoCut], path: Path) -> None:
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(replacing(path))
        raw = stack.enter_context(open(temporary, "wb"))
        # No time stamp and no name in the gzip header: the same cuts are the same bytes.
        packed = stack.enter_context(gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0))
        for cut in cuts:
            packed.write(json.dumps(cut.to_dict(), ensure_ascii=False).encode() + b"\n")
