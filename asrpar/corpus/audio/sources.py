"""What manifests name as audio: files are read, nothing else is."""

from typing import Any

from asrpar.files.text import odd_character


def source_fault(sources: list[dict[str, Any]]) -> str | None:
    """Why one of these audio sources is not read; None if all are files."""
    for source in sources:
        kind, where = source.get("type"), source.get("source")
        if kind == "command":
            return (
                f"its source is a command ({_short(where)}), and commands from data are not run: write audio files, as "
                "import-kaldi --allow-pipes does"
            )
        if isinstance(where, str) and (odd := odd_character(where)):
            return f"its source has the character {odd}, which no file name has"
        if kind != "file" or not isinstance(where, str):
            return f"its source is of type {_short(kind)}, and audio is read from files only: write audio files"
    return None


def source_records(manifest: Any) -> list[dict[str, Any]]:
    """All audio sources within (a part of) a manifest read as JSON, however deep, such as a room's impulse response."""
    if isinstance(manifest, list | tuple):
        return [found for item in manifest for found in source_records(item)]
    if not isinstance(manifest, dict):
        return []
    inner = [found for value in manifest.values() for found in source_records(value)]
    sources = manifest.get("sources")
    return (
        inner + [s if isinstance(s, dict) else {"type": s} for s in sources or []] if "sources" in manifest else inner
    )


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."
