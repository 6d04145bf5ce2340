"""Stage 1 of egs/mini: Lhotse manifests of the synthetic corpus."""

import json
from pathlib import Path

from lhotse import SupervisionSegment

from asrpar.corpus.audio import probe
from asrpar.corpus.manifests import Split, write_manifests
from asrpar.errors import DataError, require_file


def prepare_mini(corpus_dir: Path, output_dir: Path) -> None:
    """Write ``{recordings,supervisions,cuts}_{train,dev,test}.jsonl.gz`` of a corpus made by `asrpar synthesize`.

    Raises:
        MissingInputError, DataError: as `mini_splits`.
    """
    write_manifests(output_dir, mini_splits(corpus_dir))


def mini_splits(corpus_dir: Path) -> dict[str, Split]:
    """Train, dev and test of a corpus made by `asrpar synthesize`.

    Raises:
        MissingInputError: ``corpus_dir`` is no such corpus. DataError: an utterance's audio is missing or damaged,
            or transcripts and audio do not match.
    """
    corpus_dir = Path(corpus_dir)
    require_file(corpus_dir / "corpus.json", "stage 0 (asrpar synthesize)")
    require_file(corpus_dir / "utterances.jsonl", "stage 0 (asrpar synthesize)")
    try:
        with open(corpus_dir / "utterances.jsonl", encoding="utf-8") as lines:
            utterances = sorted((json.loads(line) for line in lines), key=lambda u: u["id"])
    except (ValueError, KeyError) as e:
        raise DataError(f"{corpus_dir}/utterances.jsonl is damaged: remove the folder and synthesize again") from e
    splits = {}
    for name in ("train", "dev", "test"):
        text = _read_text(corpus_dir / f"text.{name}")
        of_split = [u for u in utterances if u["split"] == name]
        if [u["id"] for u in of_split] != list(text):
            raise DataError(
                f"{corpus_dir}: text.{name} and utterances.jsonl disagree: remove the folder and synthesize again"
            )
        recordings = [probe(corpus_dir / u["wav"], u["id"]) for u in of_split]
        supervisions = [
            SupervisionSegment(
                id=recording.id,
                recording_id=recording.id,
                start=0.0,
                duration=recording.duration,
                channel=0,
                text=text[recording.id],
                language="English",
                speaker=utterance["speaker"],
            )
            for recording, utterance in zip(recordings, of_split, strict=True)
        ]
        splits[name] = Split(recordings, supervisions)
    return splits


def _read_text(path: Path) -> dict[str, str]:
    require_file(path, "stage 0 (asrpar synthesize)")
    pairs = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines()]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
