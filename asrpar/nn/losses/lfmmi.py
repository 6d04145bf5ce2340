"""Lattice-free maximum mutual information over phones' HMMs: Povey et al. 2016, from scratch as Hadian et al. 2018.

The transcript's share of all that a phone language model allows: the logarithm of the sum over the paths of the
denominator, less that over the numerator's. No alignment is needed.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asrpar.errors import ConfigError
from asrpar.nn.log_sum import OwnHmms, SharedHmm
from asrpar.nn.losses import frame_ce
from asrpar.nn.objective import Misfit, Numerator, Objective, Sources, Spoken
from asrpar.rules import at_least, below_one, need, not_negative, one_of


@dataclass
class Settings:
    """LF-MMI.

    Attributes:
        implementation: ``torch``, or ``k2`` where it is installed, which needs ``leak=0``.
        lm_order: n of the phone n-gram, which is estimated on the training transcripts.
        leak: probability that goes from anywhere to anywhere in each frame of the denominator.
        l2: weight of the squared scores.
        cross_entropy: weight of the cross-entropy of frames on the same outputs; above 0 it needs ``data.ali``.
        max_nodes: largest graph; each frame visits all nodes of the denominator.
    """

    implementation: str = "torch"
    lm_order: int = 3
    leak: float = 1e-5
    l2: float = 5e-4
    cross_entropy: float = 0.0
    max_nodes: int = 30000

    def validate(self) -> None:
        one_of(self, "implementation", ("torch", "k2"))
        at_least(self, 1, "lm_order", "max_nodes")
        below_one(self, "leak")
        not_negative(self, "l2", "cross_entropy")
        if self.implementation == "k2":
            need(self, "leak", self.leak == 0, "must be 0 with implementation k2, which cannot leak")
            importable_k2()


def importable_k2() -> None:
    """Raise `ConfigError` where k2 is not installed."""
    try:
        import k2  # noqa: F401
    except (ImportError, OSError) as e:
        raise ConfigError(
            f"implementation is k2, which cannot be imported ({e}): tools/install_k2.sh installs it, or use torch"
        ) from e


NO_LABELS = np.empty(0, np.int64)


@dataclass
class Said:
    """What an utterance's loss is computed from.

    Attributes:
        hmm: its numerator; None if it has none.
        text: its transcript.
        labels: (T',) of frames, for the cross-entropy.
    """

    hmm: Numerator | None
    text: str
    labels: np.ndarray | None = None


class Loss(Objective[Said]):
    """Classes are those of a tree: the one of ``data.tree`` or ``data.ali``, else phones' first and later frames.

    Errors on dev are phones: those of the best path through the denominator, silences left out, against the nearest
    pronunciation of the transcript.
    """

    errors_are = "phone errors"
    of_text = True
    of_phones = True
    of_scores = True
    lacking = "words without pronunciation, or phones in an order that the training transcripts never have"

    def __init__(self, settings: Settings, sources: Sources) -> None:
        if sources.graphs is None or sources.transcripts is None:
            raise ConfigError("loss is lfmmi, which needs phones and training transcripts: there are none here")
        self.settings, self.transcripts = settings, sources.transcripts
        self.graphs = sources.graphs(settings.lm_order, settings.max_nodes)
        self.num_classes, self.classes, self.tree = self.graphs.num_classes, self.graphs.classes, self.graphs.tree
        self.frames = self._cross_entropy(sources) if settings.cross_entropy else None
        self._denominators: dict[tuple[torch.dtype, torch.device], SharedHmm] = {}

    def _cross_entropy(self, sources: Sources) -> frame_ce.Loss:
        if sources.labels is None:
            raise ConfigError(
                f"losses.lfmmi.cross_entropy is {self.settings.cross_entropy:g}, but there are no labels of frames: "
                "set data.ali to an alignment, or it to 0"
            )
        frames = frame_ce.Loss(frame_ce.Settings(), sources)
        if frames.num_classes != self.num_classes:
            raise ConfigError(
                f"labels of frames have {frames.num_classes} classes and the tree of lfmmi {self.num_classes}: take "
                "an alignment with the same tree"
            )
        if sources.labels.tree and sources.labels.tree != self.tree:
            raise ConfigError(
                "labels of frames are of another tree than that of lfmmi: leave data.tree out, which is then that of "
                "data.ali, or label the alignment with it (asrpar build-tree --tree)"
            )
        return frames

    def targets(self, utterance: Spoken, frames: np.ndarray | None = None) -> Said:
        labels = self.frames.targets(utterance, frames) if self.frames else None
        return Said(self.graphs.numerator(utterance.text), utterance.text, labels)

    def loss(self, output: Tensor, lens: Tensor, targets: list[Said]) -> tuple[Tensor, list[bool]]:
        used = [s.hmm is not None and s.hmm.fewest_frames <= n for s, n in zip(targets, lens.tolist(), strict=True)]
        if not any(used):
            return output.sum() * 0.0, used
        fitting = [n for n, ok in enumerate(used) if ok]
        said, rows = [targets[n] for n in fitting], torch.tensor(fitting, device=output.device)
        scores, lens = output.index_select(0, rows), lens.to(output.device)[rows]
        scores = scores if scores.dtype == torch.float64 else scores.float()
        denominators, numerators = self.log_sums(scores, lens, [s.hmm for s in said])
        # Where nothing is left of a transcript beside what is heard, something else was spoken, and where nothing is
        # left of the denominator there is no gradient of it; but scores that are no numbers are to be noticed.
        heard = (numerators.isfinite() & denominators.isfinite()) | ~scores.isfinite().all()
        total = torch.where(heard, denominators - numerators, 0.0).sum()
        if self.settings.l2:
            inside = (torch.arange(scores.shape[1], device=scores.device) < lens[:, None]) & heard[:, None]
            total = total + self.settings.l2 * scores[inside].square().sum()
        for n, ok in zip(fitting, heard.tolist(), strict=True):
            used[n] = ok
        if self.frames:
            labels = [targets[n].labels if used[n] else NO_LABELS for n in fitting]
            total = total + self.settings.cross_entropy * self.frames.loss(scores, lens, labels)[0]
        return total, used

    def log_sums(self, scores: Tensor, lens: Tensor, hmms: list[Numerator]) -> tuple[Tensor, Tensor]:
        """(N,) logarithms of the sums over the paths of the denominator, and (N,) over those of the numerators.

        Args:
            scores: (N, T, C) float32 or float64.
            lens: (N,) frames of each.
            hmms: numerators of each.
        """
        if self.settings.implementation == "k2":
            from asrpar.nn.k2_sums import log_sums

            count = len(hmms)
            both = log_sums([self.graphs.denominator] * count + hmms, scores, lens, [*range(count)] * 2)
            return both[:count], both[count:]
        own = OwnHmms(hmms, self.num_classes, scores.device)
        return self.denominator(scores).log_sum(scores, lens), own.log_sum(scores, lens)

    def denominator(self, scores: Tensor) -> SharedHmm:
        """The denominator as it computes with such scores."""
        key = scores.dtype, scores.device
        if key not in self._denominators:
            graph, leak = self.graphs.denominator, self.settings.leak
            self._denominators[key] = SharedHmm(graph, self.num_classes, leak, *key)
        return self._denominators[key]

    def errors(self, output: Tensor, lens: Tensor, targets: list[Said]) -> tuple[int, int]:
        import kaldialign

        errors = phones = 0
        scores = output if output.dtype == torch.float64 else output.float()
        for path, said in zip(self.denominator(scores).best_phones(scores, lens), targets, strict=True):
            variants = self.transcripts.encode_variants(said.text)
            if not variants:
                continue
            spoken = [phone for phone in path if phone not in self.graphs.silences]
            errors += min(kaldialign.edit_distance(variant, spoken)["total"] for variant in variants)
            phones += len(variants[0])
        return errors, phones

    def misfit(self, utterance: Spoken, frames: int) -> Misfit | None:
        # A graph of each of a million utterances would take an hour.
        if self.graphs.surely_fits(utterance.text, frames):
            return None
        if unknown := self.transcripts.unknown(utterance.text):
            return Misfit(missing=tuple(sorted(unknown)))
        hmm = self.graphs.numerator(utterance.text)
        if hmm is None:
            return Misfit(missing=(utterance.text,))
        return Misfit(frames=hmm.fewest_frames) if hmm.fewest_frames > frames else None
