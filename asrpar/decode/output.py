"""The files of a decoded set."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asrpar.decode.words import Hypothesis
from asrpar.files.json_files import write_json
from asrpar.files.replacing import replacing_folder
from asrpar.score.trn import trn_line


def write_decoded(
    folder: Path,
    hypotheses: Sequence[Hypothesis],
    references: Mapping[str, str],
    facts: Mapping[str, Any],
    others: Mapping[str, Iterable[bytes]] | None = None,
) -> None:
    """Write ``hyp.trn``, ``ref.trn``, ``times.ctm`` and ``decode.json`` into ``folder``, all of them or nothing.

    An older folder of that name is replaced whole: scores of other hypotheses must not survive beside new ones.
    ``others`` are the contents of further files by their names.
    """
    ordered = sorted(hypotheses, key=lambda h: h.utt_id)
    with replacing_folder(folder) as fresh:
        write_lines(fresh / "hyp.trn", (trn_line(" ".join(h.words), h.utt_id) for h in ordered))
        write_lines(fresh / "ref.trn", (trn_line(references[u], u) for u in sorted(references)))
        write_lines(fresh / "times.ctm", (line for h in ordered for line in ctm_lines(h)))
        for name, pieces in (others or {}).items():
            with (fresh / name).open("wb") as f:
                f.writelines(pieces)
        write_json(fresh / "decode.json", dict(facts))


def ctm_lines(hypothesis: Hypothesis) -> list[str]:
    """``utt-id channel start duration word`` in seconds, and the confidence if there is one; a line for each word."""
    times = zip(hypothesis.words, hypothesis.start_times, hypothesis.end_times, strict=True)
    sure = [f" {c:.4f}" for c in hypothesis.confidences] or [""] * len(hypothesis.words)
    return [
        f"{hypothesis.utt_id} 1 {start:.3f} {end - start:.3f} {word}{c}\n"
        for (word, start, end), c in zip(times, sure, strict=True)
    ]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """A text file of these lines, which have their ends."""
    with path.open("w", encoding="utf-8") as f:
        f.writelines(lines)
