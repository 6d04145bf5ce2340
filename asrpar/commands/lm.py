"""Commands for n-gram language models: ``train-lm``, ``mix-lm``, ``prune-lm`` and ``perplexity``."""

import click

from asrpar.errors import ConfigError
from asrpar.option_types import FINITE, FiniteRange

CASE = click.option(
    "--case", type=click.Choice(["keep", "upper", "lower"]), default="keep", show_default=True,
    help="Bring the text to this case.",
)  # fmt: skip
OUTPUT = click.option("--output", required=True, metavar="FILE", help="ARPA file; gzipped if it ends in .gz.")
HELD_OUT = click.option("--held-out", metavar="FILE", help="Text, in none of the others, on which weights are found.")
WEIGHTS = click.option("--weights", metavar="W,W...", help="Weights instead, in the order of what is mixed.")


@click.command("train-lm")
@click.option("--text", "texts", multiple=True, required=True, metavar="FILE", help="One sentence a line; .gz allowed.")
@OUTPUT
@click.option("--order", type=click.IntRange(1, 5), default=3, show_default=True, help="1 for a unigram, and so on.")
@click.option("--vocabulary", metavar="FILE", help="Words of the model, the first of each line; else all of the text.")
@click.option(
    "--unknown", default="<UNK>", show_default=True, metavar="WORD",
    help="With --vocabulary: what other words are read as; '' leaves their sentences out.",
)  # fmt: skip
@click.option(
    "--min-counts", metavar="N,N...",
    help="By order, how often an n-gram must occur to be listed, such as 1,1,2; the last holds for higher orders.",
)  # fmt: skip
@click.option(
    "--prune",
    type=FiniteRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Relative-entropy threshold, such as 1e-8; 0: none.",
)
@click.option("--together", is_flag=True, help="One model of all texts; else one each, which are mixed.")
@HELD_OUT
@WEIGHTS
@click.option("--memory", type=FiniteRange(0.1), default=1.0, show_default=True, help="In GB, for counting.")
@CASE
def train_lm(
    texts: tuple[str, ...],
    output: str,
    order: int,
    vocabulary: str | None,
    unknown: str,
    min_counts: str | None,
    prune: float,
    together: bool,
    held_out: str | None,
    weights: str | None,
    memory: float,
    case: str,
) -> None:
    """Estimate an n-gram model (interpolated modified Kneser-Ney) of text of any size.

    What does not fit into --memory is in a folder beside the output while this runs, some 30 bytes for each word of
    the text. Several texts make one model each, which are mixed with weights; docs/lm.md says more.
    """
    from asrpar.lm.files import read_vocabulary, train_files
    from asrpar.lm.train import Training
    from asrpar.log import setup_logging

    setup_logging()
    given = _numbers("--min-counts", min_counts)
    least = [int(n) for n in given if n.is_integer()]
    if least != given:
        raise ConfigError(f"--min-counts {min_counts}: whole numbers with commas between are expected")
    if least and (least[0] != 1 or sorted(least) != least or len(least) > order):
        raise ConfigError(f"--min-counts {min_counts} must begin with 1, not fall, and have at most {order} values")
    words = None
    if vocabulary is not None:
        words = read_vocabulary(vocabulary) | ({unknown} if unknown else set())
    how = Training(order, least, words, unknown or None if words else None, memory)
    train_files(
        texts, output, how, case=case, together=together, held_out=held_out,
        weights=_numbers("--weights", weights), threshold=prune,
    )  # fmt: skip


@click.command("mix-lm")
@click.option("--lm", "lms", multiple=True, required=True, metavar="FILE", help="ARPA files; .gz allowed.")
@OUTPUT
@HELD_OUT
@WEIGHTS
@CASE
def mix_lm(lms: tuple[str, ...], output: str, held_out: str | None, weights: str | None, case: str) -> None:
    """Mix language models into one ARPA file (linear interpolation), with the weights that suit held-out text best."""
    from asrpar.lm.files import mix_files
    from asrpar.log import setup_logging

    setup_logging()
    mix_files(lms, output, held_out=held_out, weights=_numbers("--weights", weights), case=case)


@click.command("prune-lm")
@click.option("--lm", required=True, metavar="FILE", help="ARPA file; .gz allowed.")
@click.option("--threshold", required=True, type=FINITE, help="By how much the perplexity may rise, such as 1e-8.")
@OUTPUT
def prune_lm(lm: str, threshold: float, output: str) -> None:
    """Drop the n-grams of a language model whose loss changes its perplexity least (Stolcke 1998)."""
    from asrpar.lm.files import prune_file
    from asrpar.log import setup_logging

    setup_logging()
    prune_file(lm, output, threshold)


@click.command("perplexity")
@click.option("--lm", "lms", multiple=True, required=True, metavar="FILE", help="ARPA file; several are compared.")
@click.option("--text", required=True, metavar="FILE", help="One sentence a line; .gz allowed.")
@CASE
def perplexity(lms: tuple[str, ...], text: str, case: str) -> None:
    """Tell the perplexity of text under language models, and of several the weights of their best mixture."""
    from tempfile import TemporaryDirectory

    from asrpar.lm.files import perplexities
    from asrpar.log import setup_logging

    setup_logging()
    with TemporaryDirectory(prefix="asrpar-") as folder:
        found = perplexities(lms, text, case, folder)
    for path, one in zip(lms, found, strict=True):
        click.echo(
            f"{path}: perplexity {one.value:.2f}, without ends of sentences {one.without_ends:.2f}; "
            f"{one.sentences} sentences, {one.words} words, {one.unknown} unknown, {one.unlikely} impossible"
        )


def _numbers(option: str, text: str | None) -> list[float]:
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise ConfigError(f"{option} {text}: numbers with commas between are expected") from None
