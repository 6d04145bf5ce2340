"""Writes ALI folders, see `asrpar.hmm.alignments`."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from asrpar.config import save_config
from asrpar.errors import ConfigError, DataError
from asrpar.files.checksums import write_checksums
from asrpar.files.replacing import replacing_folder
from asrpar.hmm.alignment_index import Growing, index_of
from asrpar.hmm.alignments import INDEXED, INFO, NO_WORD, AlignmentInfo
from asrpar.hmm.tree import FILE, Tree

# What the features' shards are called in Lhotse's manifests: the arrays here are of the same make.
STORAGE = "asrpar_shard"
# A label that was changed within its range would be learnt without a word.
OF_SETS = (*INDEXED, "index_{}.npz", "counts_{}.txt")


@dataclass(frozen=True)
class Aligned:
    """An utterance's alignment, to be written.

    Attributes:
        id: of the cut.
        pdfs: (T,) integers.
        phones: (n, 3) integers, for each phone its id, its frames, and the number of its word or `NO_WORD`; None where
            pdfs are all that is known.
        words: whose numbers these are.
        text: transcript, for people.
        speaker: likewise.
        seconds: where the utterance ends; 0 for the end of its last frame.
        classes: pdf class of each frame (T,), where the tree's pdfs do not tell it.
    """

    id: str
    pdfs: np.ndarray
    phones: np.ndarray | None = None
    words: Sequence[str] = ()
    text: str = ""
    speaker: str = ""
    seconds: float = 0.0
    classes: np.ndarray | None = None


class _GrowingArray:
    """A .npy file of int32 that rows are appended to."""

    def __init__(self, path: Path, width: tuple[int, ...] = ()) -> None:
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._width, self.rows = width, 0
        self._header()

    def _header(self) -> None:
        header = {"descr": np.dtype(np.int32).str, "fortran_order": False, "shape": (self.rows, *self._width)}
        # numpy leaves room in the header for the first axis to grow, so it can be written again in place.
        np.lib.format.write_array_header_1_0(self._file, header)

    def add(self, rows: np.ndarray) -> None:
        """Append."""
        self._file.write(np.ascontiguousarray(rows, np.int32).data)
        self.rows += len(rows)

    def close(self) -> None:
        """Say how many rows there are."""
        self._file.seek(0)
        self._header()
        self._file.close()


class SetWriter:
    """One set of an ALI folder; a context that ends with the set."""

    def __init__(self, folder: Path, final: Path, name: str, tree: Tree, info: AlignmentInfo) -> None:
        self._folder, self._name, self._tree, self._seconds = folder, name, tree, info.frame_shift * info.subsampling
        self._pdfs, self._phones, self._classes = _GrowingArray(folder / f"pdfs_{name}.npy"), None, None
        self._manifest = gzip.open(folder / f"supervisions_{name}.jsonl.gz", "wt", encoding="utf-8")  # noqa: SIM115
        self._array = str(final / f"pdfs_{name}.npy")
        self._left_out: list[tuple[str, str]] = []
        self._index = Growing()
        self.counts = np.zeros(tree.num_pdfs, np.int64)
        self.aligned = 0

    def add(self, utterance: Aligned) -> None:
        """Write an alignment.

        Raises:
            DataError: it does not fit the tree, or some utterances have phones and others have none.
        """
        pdfs, phones, count = np.asarray(utterance.pdfs), utterance.phones, self._tree.num_pdfs
        if not len(pdfs) or not 0 <= pdfs.min() <= pdfs.max() < count:
            raise DataError(f"the alignment of {utterance.id} is empty, or has pdfs beyond the tree's {count}")
        if phones is not None and int(phones[:, 1].sum()) != len(pdfs):
            raise DataError(f"the phones of {utterance.id} have {phones[:, 1].sum()} frames, its pdfs {len(pdfs)}")
        if self.aligned and (phones is None) != (self._phones is None):
            raise DataError(f"{utterance.id} has {'no ' * (phones is None)}phones, unlike those before it")
        first = self._pdfs.rows
        self._index.add(utterance.id, pdfs, phones, None if phones is None else utterance.classes)
        self._pdfs.add(pdfs)
        self.counts += np.bincount(pdfs, minlength=count)
        self.aligned += 1
        end = utterance.seconds or len(pdfs) * self._seconds
        entry: dict[str, Any] = {"id": utterance.id, "recording_id": utterance.id, "start": 0.0}
        entry |= {"duration": round(end, 6), "channel": 0, "text": utterance.text, "speaker": utterance.speaker}
        if phones is not None:
            if self._phones is None:
                self._phones = _GrowingArray(self._folder / f"phones_{self._name}.npy", (3,))
            self._phones.add(phones)
            entry["alignment"] = self._times(phones, utterance.words, end)
            if utterance.classes is not None:
                if self._classes is None:
                    self._classes = _GrowingArray(self._folder / f"classes_{self._name}.npy")
                self._classes.add(utterance.classes)
        array = {"storage_type": STORAGE, "storage_path": self._array, "storage_key": f"{first}:{len(pdfs)}"}
        array["shape"] = [len(pdfs)]
        entry["custom"] = {"pdfs": {"array": array, "temporal_dim": 0, "frame_shift": self._seconds, "start": 0.0}}
        self._manifest.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def leave_out(self, utterance: str, reason: str) -> None:
        """Note an utterance that has no alignment."""
        self._left_out.append((utterance, reason))

    def _times(self, phones: np.ndarray, words: Sequence[str], end: float) -> dict[str, list[list[Any]]]:
        """Words and phones with start and duration in seconds, as Lhotse has them."""
        ends = np.minimum(np.cumsum(phones[:, 1]) * self._seconds, end)
        starts = [0.0, *ends[:-1].tolist()]
        items: dict[str, list[list[Any]]] = {"word": [], "phone": []}
        previous = NO_WORD
        for (phone, _, word), start, stop in zip(phones.tolist(), starts, ends.tolist(), strict=True):
            items["phone"].append([self._tree.phones.name(phone), round(start, 6), round(stop - start, 6)])
            if word != NO_WORD and word != previous:
                items["word"].append([words[word], round(start, 6), 0.0])
            if word != NO_WORD:
                items["word"][-1][2] = round(stop - items["word"][-1][1], 6)
                previous = word
        return items

    def __enter__(self) -> "SetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._manifest.close()
        self._pdfs.close()
        for array in (self._phones, self._classes):
            if array is not None:
                array.close()
        if error is None:
            self._index.write(index_of(self._folder, self._name))
        (self._folder / f"counts_{self._name}.txt").write_text(f"[ {' '.join(map(str, self.counts))} ]\n")
        lines = "".join(f"{name} {reason}\n" for name, reason in self._left_out)
        (self._folder / f"left_out_{self._name}.txt").write_text(lines, encoding="utf-8")


class AlignmentsWriter:
    """A new ALI folder, see `writing_alignments`.

    Attributes:
        tree: that will be written; one with other transition probabilities may take its place.
    """

    def __init__(self, folder: Path, final: Path, tree: Tree, info: AlignmentInfo) -> None:
        self.folder, self._final, self.tree, self.info = folder, final, tree, info

    @contextmanager
    def split(self, name: str, data: Mapping[str, Any] | None = None) -> Iterator[SetWriter]:
        """Give the writer of one set; the first is that for training, whose counts make priors.

        Args:
            name: of the set.
            data: what it is, see `Alignments.check`.
        """
        with SetWriter(self.folder, self._final, name, self.tree, self.info) as writer:
            yield writer
        self.info.sets[name] = {**(data or {}), "aligned": writer.aligned}


@contextmanager
def writing_alignments(folder: str | Path, tree: Tree, info: AlignmentInfo) -> Iterator[AlignmentsWriter]:
    """Give a new ALI folder to put sets into, which takes the place of ``folder`` if the block ends well.

    Args:
        folder: where it is to be; hold it with `asrpar.files.lock.alone`.
        tree: whose pdfs are written.
        info: for ali.yaml; ``sets`` is filled here.

    Raises:
        ConfigError: ``folder`` holds something else.
    """
    check_output(folder)
    final = Path(folder).resolve()
    with replacing_folder(final) as fresh:
        writer = AlignmentsWriter(fresh, final, tree, info)
        yield writer
        writer.tree.write(fresh / FILE)
        save_config(info, fresh / INFO)
        write_checksums(fresh, [FILE, INFO, *(form.format(name) for name in info.sets for form in OF_SETS)])


def check_output(folder: str | Path) -> None:
    """Raise `ConfigError` where `writing_alignments` would: to be asked before the work."""
    final = Path(folder)
    if final.exists() and not (final / INFO).is_file() and (final.is_file() or any(final.iterdir())):
        raise ConfigError(f"{folder} exists and is no alignment: give another folder, or remove it")
