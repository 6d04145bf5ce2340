"""What the commands for language models do: texts and ARPA files in, ARPA files out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.files.lock import alone
from asrpar.files.text import read_lines
from asrpar.lm.arpa import read_arpa
from asrpar.lm.build import Mixing, build_lm, told, weights_on
from asrpar.lm.mix import mix
from asrpar.lm.perplexity import Perplexity, perplexity
from asrpar.lm.prune import prune
from asrpar.lm.shelf import Disk
from asrpar.lm.text_ids import IdFile, WordIds
from asrpar.lm.train import Training
from asrpar.log import get_logger

LOG = get_logger(__name__)


@contextmanager
def beside(output: str | Path) -> Iterator[Path]:
    """A folder for what does not fit into memory, on the disk of the output; gone afterwards.

    Raises:
        BusyError: another process makes that file.
    """
    work = Path(output).parent / f".{Path(output).name}.work"
    with alone(work):
        try:
            yield work
        finally:
            rmtree(work, ignore_errors=True)


def train_files(
    texts: Sequence[str],
    output: str,
    how: Training,
    *,
    case: str = "keep",
    together: bool = False,
    held_out: str | None = None,
    weights: Sequence[float] = (),
    threshold: float = 0.0,
) -> list[int]:
    """Make one model of text files.

    Args:
        texts: files, one sentence a line.
        output: ARPA file.
        how: each model is estimated.
        case: that the text is brought to.
        together: one model of all texts, instead of one each, which are mixed.
        held_out: text on which weights are found. weights: instead, in the order of the texts.
        threshold: of pruning by relative entropy; 0: none.

    Returns:
        listed n-grams by order.

    Raises:
        ConfigError, DataError, MissingInputError: what cannot be used.
    """
    check_weights(weights, 1 if together else len(texts), "texts")
    if len(texts) > 1 and not (together or weights or held_out):
        raise ConfigError("several texts: give --held-out (or --weights) to mix their models, or --together")
    check_files([*texts, *([held_out] if held_out else [])], output)
    with beside(output) as work:
        ids = WordIds()
        found: dict[str, IdFile] = {}
        for number, path in enumerate(texts):
            name = "all texts" if together else path
            if name in found and not together:
                raise ConfigError(f"{path} is given twice")
            found.setdefault(name, IdFile(work / f"{number}.ids")).write(ids.file(path, case))
        other = (held_out, _text(work, held_out, ids, case)) if held_out else None
        return build_lm(found, ids, how, Mixing(weights, other, threshold), output, work / "lm")


def mix_files(
    lms: Sequence[str], output: str, *, held_out: str | None, weights: Sequence[float], case: str = "keep"
) -> list[int]:
    """Mix ARPA files into one; see `train_files`."""
    if len(lms) < 2:
        raise ConfigError("one language model cannot be mixed: give --lm several times")
    if not weights and held_out is None:
        raise ConfigError("give --held-out, text on which the weights are found, or --weights")
    check_weights(weights, len(lms), "language models")
    check_files([*lms, *([held_out] if held_out else [])], output)
    with beside(output) as work:
        shelf = Disk(work)
        models = [read_arpa(path, shelf=shelf) for path in lms]
        if not weights:
            assert held_out is not None
            ids = WordIds()
            weights = weights_on(models, lms, (held_out, _text(work, held_out, ids, case)), ids)
        mixed = mix(models, weights, shelf)
        mixed.write(output)
    return mixed.sizes


def prune_file(lm: str, output: str, threshold: float) -> list[int]:
    """Prune an ARPA file by relative entropy."""
    if not 0.0 < threshold < 1.0:
        raise ConfigError(f"--threshold {threshold:g} is not between 0 and 1; usual ones are 1e-9 to 1e-6")
    check_files([lm], output)
    with beside(output) as work:
        model = read_arpa(lm, shelf=Disk(work))
        before = model.sizes
        model = prune(model, threshold)
        model.write(output)
    LOG.info("%s has %s n-grams, %s has %s", lm, told(before), output, told(model.sizes))
    return model.sizes


def perplexities(lms: Sequence[str], text: str, case: str, folder: str | Path) -> list[Perplexity]:
    """Perplexity of a text under each of some ARPA files; of several, the best weights are told to the log.

    Args:
        lms: ARPA files. text: a file. case: that the text is brought to.
        folder: for the text's numbers.
    """
    check_files([*lms, text], None)
    ids = WordIds()
    numbers = _text(Path(folder), text, ids, case)
    models = [read_arpa(path, only=ids) for path in lms]
    found = [perplexity(lm, numbers, list(ids)) for lm in models]
    if len(models) > 1:
        weights_on(models, lms, (text, numbers), ids)
    return found


def read_vocabulary(path: str) -> set[str]:
    """The words of a file, the first of each line; those of Kaldi that are no words, such as <eps> and #0, are not."""
    words = set()
    for _, line in read_lines(path):
        fields = line.split()
        if fields and fields[0] not in ("<eps>", "<s>", "</s>", "#0"):
            words.add(fields[0])
    if not words:
        raise DataError(f"{path} has no words")
    return words


def check_weights(weights: Sequence[float], count: int, what: str) -> None:
    """Raise `ConfigError` for weights that are none of ``count`` models."""
    if weights and len(weights) != count:
        raise ConfigError(f"--weights has {len(weights)} values for {count} {what}")
    if weights and not (min(weights) >= 0 and abs(sum(weights) - 1.0) <= 1e-3):  # nan is in no range
        raise ConfigError("--weights must not be negative, and sum to 1")


def check_files(inputs: Sequence[str], output: str | None) -> None:
    """Refuse, before the work, files that are not there, and an output in no folder or in the place of an input."""
    for path in inputs:
        if not Path(path).is_file():
            raise MissingInputError(f"{path} is missing")
        if output is not None and Path(output).exists() and Path(path).samefile(output):
            raise ConfigError(f"--output would replace {path}, which is read")
    if output is not None and not Path(output).parent.is_dir():
        raise MissingInputError(f"{Path(output).parent}, where {Path(output).name} is to be written, is no folder")


def _text(work: Path, path: str, ids: WordIds, case: str) -> IdFile:
    return IdFile(work / "text.ids").write(ids.file(path, case))
