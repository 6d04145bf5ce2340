"""What a form of export has to do."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from asrpar import __version__
from asrpar.export.graph import check_equal, to_onnx
from asrpar.export.model import Trained


class ExportFormat(ABC):
    """Writes a folder for another program. A page of `asrpar.export.formats` has one as ``Format``.

    Args:
        trained: the model.

    Raises:
        AsrparError: it cannot be exported so.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.check()

    def check(self) -> None:
        """Raise `AsrparError` for a model that the program cannot use as it was trained."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """Properties of the ONNX file."""

    @abstractmethod
    def symbols(self) -> list[str]:
        """Of the classes, as the program wants them."""

    def write(self, folder: Path) -> float:
        """``model.onnx`` and ``tokens.txt`` into an empty folder; how far the graph's outputs are from the model's."""
        width = self.trained.facts["num_features"]
        graph = to_onnx(self.trained.module, width, self.metadata())
        difference = check_equal(self.trained.module, graph, width)
        (folder / "model.onnx").write_bytes(graph)
        lines = (f"{symbol} {number}\n" for number, symbol in enumerate(self.symbols()))
        (folder / "tokens.txt").write_text("".join(lines), encoding="utf-8")
        return difference

    @abstractmethod
    def advice(self, folder: Path) -> list[str]:
        """What to tell of it: how it is used, and what differs."""

    def common(self) -> dict[str, Any]:
        """Metadata that all forms have."""
        t = self.trained
        facts, features = t.facts, t.features
        found = {
            "asrpar_version": __version__,
            "model": facts["model"],
            "loss": facts["loss"],
            "vocab_size": facts["num_classes"],
            "feature_dim": facts["num_features"],
            "subsampling_factor": t.subsampling,
            "sample_rate": features["fbank.sampling_rate"],
            "frame_shift": features["fbank.frame_shift"],
            # What the graph does itself is not to be done before it.
            "normalize": t.normalize,
            "features": json.dumps(features, sort_keys=True),
            "training": json.dumps(facts["notes"], sort_keys=True, default=str),
        }
        if facts["blank"] is not None:
            found["blank"] = facts["blank"]
        if (priors := facts.get("log_priors")) is not None:
            found["log_priors"] = json.dumps([round(float(x), 6) for x in priors])
        return found
