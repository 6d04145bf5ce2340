"""Kaldi's transition model: transition-ids, which alignments are made of, and what they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from asrpar.errors import DataError
from asrpar.hmm.kaldi.stream import Stream
from asrpar.hmm.kaldi.topology import NO_PDF, Topology, read_topology, topology_text
from asrpar.hmm.segments import Segments


@dataclass(frozen=True)
class TransitionModel:
    """What is in front of the acoustic model in ``final.mdl``.

    Arrays by transition-id begin with an entry for 0, which stands for nothing.

    Attributes:
        topology: of the phones.
        tuples: phone, state, pdf that leads on and pdf of the loop of each transition state (N, 4), sorted.
        log_probs: of each transition-id (ids + 1,).
    """

    topology: Topology
    tuples: np.ndarray
    log_probs: np.ndarray

    @classmethod
    def of(cls, topology: Topology, tuples: Sequence[tuple[int, int, int, int]]) -> "TransitionModel":
        """With the probabilities of the topology."""
        ordered = sorted(set(tuples))
        probs = [p for phone, state, *_ in ordered for _, p in topology[phone][state].transitions]
        log_probs = np.concatenate([[0.0], np.log(np.array(probs, np.float64))])
        return cls(topology, np.array(ordered, np.int64).reshape(-1, 4), log_probs)

    @cached_property
    def _ids(self) -> np.ndarray:
        """Number of the tuple, and of the transition in its state, of each id from 1: (ids, 2)."""
        pairs = [
            (n, k)
            for n, (phone, state) in enumerate(self.tuples[:, :2].tolist())
            for k in range(len(self.topology[phone][state].transitions))
        ]
        return np.array(pairs, np.int64).reshape(-1, 2)

    @property
    def num_ids(self) -> int:
        """Ids are 1 to this."""
        return len(self._ids)

    @property
    def num_pdfs(self) -> int:
        """Pdfs are 0 to num_pdfs - 1."""
        return int(self.tuples[:, 2:].max()) + 1

    @cached_property
    def first_ids(self) -> np.ndarray:
        """The id of the first transition of each tuple (N,)."""
        return np.searchsorted(self._ids[:, 0], np.arange(len(self.tuples))) + 1

    def _by_id(self, values: list[int]) -> np.ndarray:
        return np.array([0, *values], np.int64)

    @cached_property
    def _states(self) -> list[tuple[int, int, int, int, int]]:
        """phone, state, target, whether it is a loop, whether it leaves the phone: of each id from 1."""
        found = []
        for n, k in self._ids.tolist():
            phone, state = self.tuples[n, :2].tolist()
            target = self.topology[phone][state].transitions[k][0]
            last = target == len(self.topology[phone]) - 1
            found.append((phone, state, target, target == state, last))
        return found

    @cached_property
    def phone_of(self) -> np.ndarray:
        """The phone of each id."""
        return self._by_id([x[0] for x in self._states])

    @cached_property
    def is_loop(self) -> np.ndarray:
        """Whether each id stays in its state, bool."""
        return self._by_id([x[3] for x in self._states]).astype(bool)

    @cached_property
    def is_final(self) -> np.ndarray:
        """Whether each id leaves its phone, bool."""
        return self._by_id([x[4] for x in self._states]).astype(bool)

    @cached_property
    def pdf_of(self) -> np.ndarray:
        """The pdf of each id; that of 0 stands for nothing."""
        tuples = self.tuples[self._ids[:, 0]]
        return self._by_id(np.where(self.is_loop[1:], tuples[:, 3], tuples[:, 2]).tolist())

    @cached_property
    def class_of(self) -> np.ndarray:
        """The pdf class of each id."""
        states = [self.topology[phone][state] for phone, state, *_ in self._states]
        return self._by_id([s.loop if x[3] else s.forward for s, x in zip(states, self._states, strict=True)])

    @cached_property
    def tuple_of(self) -> np.ndarray:
        """The number of each id's tuple."""
        return self._by_id(self._ids[:, 0].tolist())

    def check_ids(self, ids: np.ndarray, utterance: str) -> None:
        """Raise `DataError` for an alignment with ids that there are not."""
        if not len(ids) or ids.min() < 1 or ids.max() > self.num_ids:
            odd = int(ids[(ids < 1) | (ids > self.num_ids)][0]) if len(ids) else "nothing"
            raise DataError(f"the alignment of {utterance} has {odd}: the model has transition-ids 1 to {self.num_ids}")

    def segments(self, ids: np.ndarray, utterance: str) -> Segments:
        """Phones and pdf classes of an alignment.

        Args:
            ids: transition-ids (T,), loops before or behind the way on, as Kaldi's reordering has it.
            utterance: for messages.

        Raises:
            DataError: no path through phones, or one that ends within a phone.
        """
        self.check_ids(ids, utterance)
        loop, final, phone = self.is_loop[ids], self.is_final[ids], self.phone_of[ids]
        if self._reordered(ids):
            # Loops follow the transition that leaves their state: a phone ends behind the loops of its last one.
            onward = np.maximum.accumulate(np.where(loop, -1, np.arange(len(ids))))
            ends = final[np.maximum(onward, 0)] & (onward >= 0) & np.append(~loop[1:], True)
        else:
            ends = final
        if not ends[-1]:
            raise DataError(f"the alignment of {utterance} ends within a phone")
        stops = np.flatnonzero(ends) + 1
        lengths = np.diff(stops, prepend=0)
        phones = phone[stops - 1]
        if not np.array_equal(np.repeat(phones, lengths), phone):
            raise DataError(f"the alignment of {utterance} goes from phone to phone where none ends")
        return Segments(phones.astype(np.int32), lengths.astype(np.int32), self.class_of[ids].astype(np.uint8))

    def _reordered(self, ids: np.ndarray) -> bool:
        state, loop = self.tuple_of[ids], self.is_loop[ids]
        for i in np.flatnonzero(state[1:] != state[:-1]):
            if loop[i] or loop[i + 1]:
                return bool(loop[i])
        return not loop[0]  # one that begins with a loop cannot be; Kaldi's graphs are reordered unless told otherwise


def read_transition_model(path: str | Path) -> TransitionModel:
    """Read ``final.mdl``, text or binary; the acoustic model behind it does not matter.

    Raises:
        MissingInputError: there is no such file.
        DataError: it is damaged, or no model.
    """
    stream = Stream.of_file(path, "give a model of Kaldi's (final.mdl)")
    stream.expect("<TransitionModel>")
    topology = read_topology(stream)
    kind = stream.token()
    if kind not in ("<Triples>", "<Tuples>"):
        raise stream.error("<Triples> or <Tuples>")
    rows = []
    for _ in range(stream.integer()):
        phone, state, pdf = stream.integer(), stream.integer(), stream.integer()
        rows.append((phone, state, pdf, stream.integer() if kind == "<Tuples>" else pdf))
        if phone not in topology or not 0 <= state < len(topology[phone]) - 1:
            raise stream.error(f"a state of the topology, not state {state} of phone {phone},")
    stream.expect(f"</{kind[1:]}", "<LogProbs>")
    found = TransitionModel(topology, np.array(rows, np.int64).reshape(-1, 4), stream.reals())
    stream.expect("</LogProbs>", "</TransitionModel>")
    if len(found.log_probs) != found.num_ids + 1 or not rows:
        raise DataError(f"{path}: {found.num_ids} transition-ids, and {len(found.log_probs) - 1} probabilities")
    return found


def transition_model_text(model: TransitionModel) -> str:
    """``<TransitionModel> ... </TransitionModel>`` as Kaldi reads it."""
    plain = all(s.forward == s.loop for entry in model.topology.values() for s in entry if s.forward != NO_PDF)
    kind, columns = ("Triples", 3) if plain else ("Tuples", 4)
    lines = ["<TransitionModel>", topology_text(model.topology).rstrip("\n"), f"<{kind}> {len(model.tuples)}"]
    lines += [" ".join(map(str, row)) for row in model.tuples[:, :columns].tolist()]
    lines += [f"</{kind}>", "<LogProbs>", f" [ {' '.join(f'{p:.7g}' for p in model.log_probs)} ]", "</LogProbs>"]
    return "\n".join([*lines, "</TransitionModel>", ""])
