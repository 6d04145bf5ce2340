"""``FEATS/report.txt``: what was wrong with recordings, split by split."""

from pathlib import Path


def write_report(path: Path, split: str, utterances: int, dropped: int, findings: list[tuple[str, str, str]]) -> None:
    """Replace the lines of one split.

    Lines are ``split utterance dropped|kept reason``, after one ``# split: counts`` line for each split.
    """
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    lines = [line for line in old if line.split()[:1] != [split] and not line.startswith(f"# {split}:")]
    suspicious = sum(verdict == "kept" for _, verdict, _ in findings)
    lines.append(f"# {split}: {utterances} utterances, {dropped} dropped, {suspicious} suspicious but kept")
    lines += [f"{split} {utterance} {verdict} {reason}" for utterance, verdict, reason in findings]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)
