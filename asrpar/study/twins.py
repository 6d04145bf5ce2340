"""Two cells from one training: with the average over time, and without.

The average never flows back into the training (Tian et al. 2017), so a training that evaluates and keeps both models
(``ema.both``) gives, bit for bit, what a second one without the average would give.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace

from asrpar.config import load_config, save_config
from asrpar.files.json_files import read_json_if_any, write_json
from asrpar.study.folder import CellFolder
from asrpar.study.grid import digest

MODEL = "unaveraged.pt"


def twins(folders: Sequence[CellFolder]) -> dict[str, CellFolder]:
    """By the name of each cell without the average, the one that differs from it by having it, if there is one."""
    averaged = {_key(folder): folder for folder in folders if folder.cell.config.ema.enabled}
    without = [folder for folder in folders if not folder.cell.config.ema.enabled]
    return {folder.cell.name: averaged[key] for folder in without if (key := _key(folder)) in averaged}


def derive(twin: CellFolder, folder: CellFolder) -> bool:
    """Fill ``folder`` from its trained ``twin``; False, and nothing done, if that has not kept both models."""
    from asrpar.train.config import TrainConfig
    from asrpar.train.digests import config_digest

    train = read_json_if_any(twin.path / "train.json")
    if not (twin.is_ours() and twin.trained() and (twin.path / MODEL).exists()):
        return False
    if not all("dev_loss_unaveraged" in epoch for epoch in train["history"]):
        return False
    folder.begin()
    config = load_config(TrainConfig, twin.path / "config.yaml")
    config = replace(config, exp=str(folder.path), ema=folder.cell.config.ema)
    save_config(config, folder.path / "config.yaml")
    shutil.copy(twin.path / "cluster.yaml", folder.path / "cluster.yaml")
    shutil.copy(twin.path / MODEL, folder.path / "final.pt")
    for epoch in train["history"]:
        for name in ("dev_loss", "dev_error_rate"):
            epoch[name] = epoch.pop(f"{name}_unaveraged")
    last = train["history"][-1]
    train |= {"ema": False, "dev_loss": last["dev_loss"], "dev_error_rate": last["dev_error_rate"], "checksum": None}
    train |= {"config_digest": config_digest(config), "trained_in": twin.cell.name}
    write_json(folder.path / "train.json", train)
    folder.log.write_text(f"the model without the average of {twin.cell.name}\n", encoding="utf-8")
    return True


def in_order(left: Sequence[CellFolder], pairs: dict[str, CellFolder], jobs: int) -> list[CellFolder]:
    """The same folders, none before the twin that it is derived from.

    ``jobs`` cells come between the two, so that none of so many workers waits for a twin that has just begun.
    """
    names = {folder.cell.name for folder in left}
    late: dict[str, list[CellFolder]] = {}
    ordered = []
    for folder in left:
        twin = pairs.get(folder.cell.name)
        if twin is not None and twin.cell.name in names:
            late.setdefault(twin.cell.name, []).append(folder)
        else:
            ordered.append(folder)
    for at in range(len(ordered) - 1, -1, -1):
        place = at + 1 + jobs
        ordered[place:place] = late.get(ordered[at].cell.name, [])
    return ordered


def _key(folder: CellFolder) -> str:
    cell = folder.cell
    return digest([asdict(cell.config) | {"ema": None}, cell.learners, cell.cluster])
