"""``FEATS/report.txt``: what was wrong with recordings, split by split."""

from pathlib import Path

from asrpar.files.replacing import replacing


def write_report(path: Path, split: str, utterances: int, dropped: int, findings: list[tuple[str, str, str]]) -> None:
    """Replace the lines of one split.

    Lines are ``split utterance dropped|kept reason``, after one ``# split: counts`` line for each split.
    """
    suspicious = sum(verdict == "kept" for _, verdict, _ in findings)
    count = f"# {split}: {utterances} utterances, {dropped} dropped, {suspicious} suspicious but kept"
    sections = _read(path)
    sections[split] = [count, *(" ".join([split, *finding]) for finding in findings)]
    text = "".join(line + "\n" for name in sorted(sections) for line in sections[name])
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _read(path: Path) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    section: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        if line.startswith("# ") and ":" in line:
            section = sections.setdefault(line[2:].partition(":")[0], [])
        section.append(line)
    return sections
