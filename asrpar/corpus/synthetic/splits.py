"""Stage 1 of egs/mini: the splits of the synthetic corpus."""

import json
from pathlib import Path

from lhotse import SupervisionSegment

from asrpar.corpus.audio.files import probe
from asrpar.corpus.manifests import Split
from asrpar.errors import DataError
from asrpar.files.text import read_text, text_lines

MADE_BY = "run stage 0 (asrpar synthesize) first"


def mini_splits(corpus_dir: Path) -> dict[str, Split]:
    """Train, dev and test of a corpus made by `asrpar synthesize`.

    Raises:
        MissingInputError: ``corpus_dir`` is no such corpus. DataError: an utterance's audio is missing or damaged,
            or transcripts and audio do not match.
    """
    corpus_dir = Path(corpus_dir)
    read_text(corpus_dir / "corpus.json", MADE_BY)
    lines = text_lines(corpus_dir / "utterances.jsonl", MADE_BY)
    try:
        utterances = sorted((json.loads(line) for _, line in lines), key=lambda u: u["id"])
        if not all(isinstance(u[key], str) for u in utterances for key in ("split", "wav", "speaker")):
            raise TypeError
    except (ValueError, KeyError, TypeError) as e:
        raise DataError(f"{corpus_dir}/utterances.jsonl is damaged: remove the folder and synthesize again") from e
    splits = {}
    for name in ("train", "dev", "test"):
        pairs = [line.split(maxsplit=1) for _, line in text_lines(corpus_dir / f"text.{name}", MADE_BY)]
        text = {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}
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
