"""Cells that another study has trained already.

Studies of one question each share cells, such as the single learner that all compare with. A cell's name differs from
study to study; its digest does not.
"""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from asrpar.config import load_config, save_config
from asrpar.errors import ConfigError
from asrpar.files.json_files import read_json_if_any, write_json
from asrpar.study.folder import NOTE, CellFolder, Places


def trained_cells(studies: Iterable[Path]) -> dict[str, Path]:
    """Folders of the cells that are trained, by digest.

    Raises:
        ConfigError: one of ``studies`` holds no cell.
    """
    found = {}
    for study in studies:
        notes = sorted(study.glob(f"*/{NOTE}"))
        if not notes:
            raise ConfigError(f"--reuse {study}: there is no cell of a study; it must be the --exp-dir of one")
        for note in notes:
            complete = read_json_if_any(note.parent / "train.json").get("complete")
            if complete and (note.parent / "final.pt").exists():
                found.setdefault(read_json_if_any(note).get("digest"), note.parent)
    return found


def take_over(source: Path | None, folder: CellFolder, places: Places) -> bool:
    """Fill ``folder`` with the training in ``source``; False, and nothing done, if that was of other data.

    A cell whose timeline is wanted is not taken over, for most are not traced.
    """
    from asrpar.train.config import TrainConfig

    if source is None or folder.is_traced():
        return False
    config = load_config(TrainConfig, source / "config.yaml")
    own = (str(places.feats), str(places.lang), str(places.ali or ""))
    if (config.data.feats, config.data.lang, config.data.ali) != own:
        return False
    known = read_json_if_any(source / "train.json").get("data_digest")
    if known is not None and known != places.data_digest(config.data.train, config.data.dev):
        return False
    folder.begin()
    save_config(replace(config, exp=str(folder.path)), folder.path / "config.yaml")
    for name in ("cluster.yaml", "final.pt"):
        shutil.copy(source / name, folder.path / name)
    train = read_json_if_any(source / "train.json") | {"trained_in": source.name}
    write_json(folder.path / "train.json", train)
    folder.log.write_text(f"the model of {source}\n", encoding="utf-8")
    return True
