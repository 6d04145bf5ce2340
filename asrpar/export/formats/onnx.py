"""An ONNX file with dynamic batch and time axes, and its metadata; for programs of one's own."""

import json
from pathlib import Path
from typing import Any

from asrpar.export.contract import ExportFormat


class Format(ExportFormat):
    """From filter banks ``x`` (N, T, C), ``x_lens`` (N,) to ``log_probs`` (N, T', classes) and their lengths.

    Global and utterance normalisation are inside; features normalised by speaker have to come so.
    """

    def metadata(self) -> dict[str, Any]:
        return self.common() | {"classes": json.dumps(self.symbols(), ensure_ascii=False)}

    def symbols(self) -> list[str]:
        return list(self.trained.identity.class_names)

    def advice(self, folder: Path) -> list[str]:
        told = []
        if self.trained.normalize == "speaker":
            told.append("x has to be normalised by speaker, as in training; --normalize utterance puts that inside")
        return told
