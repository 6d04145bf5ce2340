"""Who spoke which utterance of a scored set: ``utt2spk`` beside the results, from which intervals are made again."""

from collections.abc import Sequence
from pathlib import Path

from asrpar.errors import DataError
from asrpar.files.replacing import replacing_text
from asrpar.score.trn import read_utt2spk
from asrpar.score.wer import Score, speaker_of

NAME = "utt2spk"


def write_speakers(folder: Path, score: Score) -> None:
    """Write ``utt2spk`` into ``folder``."""
    with replacing_text(folder / NAME) as file:
        file.writelines(f"{u.utt_id} {'_'.join(u.speaker.split()) or 'unknown'}\n" for u in score.utterances)


def speakers_of(folder: Path, ids: Sequence[str]) -> list[str]:
    """The speaker of each utterance of a scored set; of one that was scored before there was such a file by its id.

    Raises:
        DataError: the file is of other utterances.
    """
    if not (folder / NAME).is_file():
        return [speaker_of(utt_id) for utt_id in ids]
    speakers = read_utt2spk(folder / NAME)
    missing = [utt_id for utt_id in ids if utt_id not in speakers]
    if missing:
        raise DataError(f"{folder / NAME} lacks {len(missing)} utterances, such as {missing[0]}: score again")
    return [speakers[utt_id] for utt_id in ids]
