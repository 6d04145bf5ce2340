"""Feature extraction of whole splits over several processes, or of parts of them over several machines."""

from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from asrpar.choices import settle
from asrpar.config import check
from asrpar.corpus.kaldi.ark import read_matrix, read_scp
from asrpar.corpus.manifests import check_split_name
from asrpar.errors import ConfigError, DataError
from asrpar.feats.config import FeatureConfig, read_settings
from asrpar.feats.fbank import make_extractor
from asrpar.feats.ids import check_ids
from asrpar.feats.merging import TRAIN, Merged, begin, speeds_of, storage_of
from asrpar.feats.parts import Part, parts_folder, read_parts, take_over
from asrpar.feats.prepared import Prepared, read_prepared
from asrpar.feats.shard import ShardResult, ShardTask, extract_shard
from asrpar.feats.storages import STORAGES
from asrpar.files.lock import LOCK, alone, reading
from asrpar.files.paths import entries, require_file
from asrpar.files.replacing import replacing_folder
from asrpar.log import get_logger
from asrpar.workers import Workers

log = get_logger(__name__)

# Where the matrix of each utterance lies, of `from_kaldi`: split → utterance → (archive, byte offset).
Sources = dict[str, dict[str, tuple[str, int]]]


@dataclass
class Given:
    """What is to be done: settled settings, and the splits' cuts, of all shards or of a part's.

    Attributes:
        config: with what the data decide.
        cuts: by split.
        sources: by split, of `from_kaldi`.
    """

    config: FeatureConfig
    cuts: dict[str, Prepared]
    sources: Sources

    @property
    def settings(self) -> dict[str, Any]:
        """What parts must have in common."""
        return asdict(self.config)


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
    output = Path(output)
    given = _given(config, Path(manifests), output, splits)
    with alone(output):
        begin(given.config, output, splits)
        found = {}
        for split in splits:
            final = storage_of(output, split)
            with replacing_folder(final) as folder:
                results = _run(_tasks(given, folder, final, split), jobs, split)
                found[split] = Merged(given.config, given.cuts[split], output, split).storage(folder, results)
            found[split].rest()
        return {split: merged.count for split, merged in found.items()}


def extract_part(
    config: FeatureConfig, manifests: str | Path, output: str | Path, splits: list[str], part: Part, jobs: int = 1
) -> dict[str, int]:
    """Compute the features of each ``part.of``-th shard of each split, for `merge_parts`. Parts may run at once.

    Returns and raises as `extract_features`; the folder's features of an earlier time stay as they are.
    """
    output = Path(output)
    given = _given(config, Path(manifests), output, splits, part)
    output.mkdir(parents=True, exist_ok=True)
    (output / LOCK).touch()
    counts = {}
    with reading(output):
        for split in splits:
            final = storage_of(output, split)
            folder = part.begin(final)
            with alone(folder, f".part-{part.number}.lock", f"part {part.number} of {split} in {output}"):
                results = _run(_tasks(given, folder, final, split), jobs, f"{split}, part {part.number}")
                part.write(folder, given.settings, given.cuts[split], results)
            counts[split] = sum(result.count for result in results)
    return counts


def merge_parts(
    config: FeatureConfig, manifests: str | Path, output: str | Path, splits: list[str], parts: int
) -> dict[str, int]:
    """Put together what `extract_part` made in so many ``parts``: the same files as `extract_features` makes at once.

    Returns and raises as that; before anything is changed, `DataError` for a part that is missing or was made of
    something else.
    """
    output = Path(output)
    given = _given(config, Path(manifests), output, splits, Part(1, parts))
    with alone(output):
        made = {
            split: read_parts(storage_of(output, split), parts, given.settings, given.cuts[split], split)
            for split in splits
        }
        begin(given.config, output, splits)
        counts = {}
        for split in splits:
            merged = Merged(given.config, given.cuts[split], output, split)
            merged.storage(parts_folder(storage_of(output, split)), made[split])
            take_over(storage_of(output, split))
            merged.rest()
            counts[split] = merged.count
        return counts


def _given(config: FeatureConfig, manifests: Path, output: Path, splits: list[str], part: Part | None = None) -> Given:
    check(config)
    STORAGES.make(config).check()
    for split in splits:
        check_split_name(split)
        if split.startswith(TRAIN) and split != TRAIN and set(config.speeds) != {1.0}:
            log.warning("split %s gets no copies at other speeds: only a split called %s does", split, TRAIN)
    part = part or Part(1, 1)
    cuts = {split: read_prepared(manifests, split, part.number, part.of) for split in splits}
    sources = {split: _kaldi_sources(manifests, split) for split in splits} if config.from_kaldi else {}
    config = _settle(config, cuts, sources, output)
    for split in splits:
        check_ids(cuts[split], split, speeds_of(config, split), STORAGES.make(config))
    return Given(config, cuts, sources)


def _kaldi_sources(manifests: Path, split: str) -> dict[str, tuple[str, int]]:
    path = manifests / f"feats_{split}.scp"
    require_file(path, "stage 1 (asrpar import-kaldi) on a data folder that has a feats.scp")
    return read_scp(path)


def _settle(config: FeatureConfig, cuts: dict[str, Prepared], sources: Sources, output: Path) -> FeatureConfig:
    """Fix sampling rate and, of Kaldi's features, width; refuse to mix settings within one FEATS folder."""
    old = read_settings(output) if (output / "feats.yaml").exists() else None
    others = [p for p in entries(output, "cuts_*.jsonl.gz") if p.name[5:-9] not in cuts]
    first = next(iter(cuts.values())).first
    rate = config.fbank.get("sampling_rate") or (
        old.fbank["sampling_rate"] if old and others else first.recording.sampling_rate
    )
    if not config.resample and not config.from_kaldi:
        for split, those in cuts.items():
            for found, cut in those.rates.items():
                if found != rate:
                    raise DataError(
                        f"recording {cut.recording.id} of split {split} has {found} Hz, expected {rate} Hz; convert "
                        "it, or set resample: true"
                    )
    if config.normalize == "speaker":
        for those in cuts.values():
            if those.nobodys:
                raise DataError(f"normalize: speaker, but cut {those.nobodys} has no speaker in its supervision")
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


def _tasks(given: Given, folder: Path, final: Path, split: str) -> list[ShardTask]:
    cuts, sources = given.cuts[split], given.sources.get(split, {})
    return [
        ShardTask(
            index,
            cuts.path,
            lines,
            given.config,
            speeds_of(given.config, split),
            folder,
            final,
            {name: sources[name] for name in cuts.ids_of(index) if name in sources} if sources else {},
        )
        for index, lines in sorted(cuts.shards.items())
    ]


def _run(tasks: list[ShardTask], jobs: int, split: str) -> list[ShardResult]:
    results: dict[int, ShardResult] = {}
    total = sum(len(t.lines) for t in tasks)
    # disable=None: a bar only on a terminal.
    with tqdm(total=total, desc=f"features of {split}", unit="utt", disable=None) as bar:
        for result, task in _results(tasks, min(jobs, len(tasks))):
            results[result.index] = result
            bar.update(len(task.lines))
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
