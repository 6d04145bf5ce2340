"""``asrpar score``: stage 8."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asrpar.errors import ConfigError, MissingInputError
from asrpar.files.json_files import read_json
from asrpar.files.lock import alone, alone_with
from asrpar.files.replacing import replacing_text

if TYPE_CHECKING:
    from asrpar.score.wer import Score


@click.command("score")
@click.option("--exp", metavar="DIR", help="Experiment of stage 7.")
@click.option("--set", "sets", default="test", show_default=True, help="Decoded sets, separated by commas.")
@click.option("--suffix", default="", metavar="NAME", help="Score decode_<set>_NAME, made by decode --suffix NAME.")
@click.option("--ref", metavar="FILE", help="Reference, trn or Kaldi text, instead of the experiment's.")
@click.option("--hyp", metavar="FILE", help="Hypotheses, trn or Kaldi text, instead of the experiment's.")
@click.option(
    "--manifests",
    metavar="DIR",
    help="Manifests of stage 1 as the reference: utterances that were dropped since then count as deleted.",
)
@click.option("--utt2spk", metavar="FILE", help="Speakers; without it, the part of an id before its first '-'.")
@click.option(
    "--measure",
    type=click.Choice(["auto", "wer", "cer", "mer"]),
    default="auto",
    show_default=True,
    help="Errors of words, of characters (spaces left out), or, for text of two kinds, of single characters of Chinese "
    "and the like and whole words of other scripts; auto: cer for scripts without spaces between words, else wer.",
)
@click.option(
    "--optional-words",
    is_flag=True,
    help="Words in brackets, such as (%HESITATION), are correct where they are left out, as for sclite -D.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "asrpar", "sctk"]),
    default="auto",
    show_default=True,
    help="Who counts: asrpar, as sclite does; or NIST's programs, hubscr.pl with the word map for sets whose manifests "
    "have an STM (Hub5'00, RT03) and sclite for others. auto: sctk where there is an STM.",
)
@click.option("--output", metavar="DIR", help="Where the results go, instead of the experiment's folder.")
def command(
    exp: str | None,
    sets: str,
    suffix: str,
    ref: str | None,
    hyp: str | None,
    manifests: str | None,
    utt2spk: str | None,
    measure: str,
    optional_words: bool,
    engine: str,
    output: str | None,
) -> None:
    """Stage 8: WER, or CER, with its confidence interval.

    Counts words as NIST's sclite does, case-sensitive; in trn files, { A / B / @ } are alternatives, @ is no word and
    lines that begin with ;; are comments.

    Writes recogs, errs, utt2spk and wer.json beside the hypotheses, or to --output, and prints one line for each set,
    and for each part of one that hubscr.pl scores.
    """
    from asrpar.score.folders import check_suffix, results_folder
    from asrpar.score.sctk.hubscr import has_reference
    from asrpar.score.trn import read_utt2spk

    check_suffix(suffix)
    if exp is None and not (ref and hyp and output):
        raise ConfigError("give --exp, or all of --ref, --hyp and --output")
    names = [name for name in sets.split(",") if name]
    for option, value in (("--ref", ref), ("--utt2spk", utt2spk)):
        if value and manifests:
            raise ConfigError(f"give {option} or --manifests, not both: the manifests have texts and speakers")
    if len(names) > 1 and (ref or hyp or output):
        raise ConfigError("--ref, --hyp and --output go with one --set at a time")
    if not names:
        raise ConfigError("--set is empty: name a decoded set, such as test")
    speakers = read_utt2spk(utt2spk) if utt2spk else None
    for name in names:
        folder = results_folder(Path(exp), name, suffix) if exp else Path(str(output))
        results = Path(output) if output else folder
        with alone(results) if output else alone_with(folder):
            facts = _facts(Path(exp) if exp else None, None if hyp else folder)
            facts["optional_words"] = optional_words
            if facts["unit"] == "tokens" and measure not in ("auto", "wer"):
                raise ConfigError(f"{folder} holds units, not words: score it without --measure")
            hypotheses = Path(hyp) if hyp else folder / "hyp.trn"
            if engine != "asrpar" and manifests and has_reference(Path(manifests), name):
                _score_calls(Path(manifests), name, hypotheses, results, facts, measure)
                continue
            reference = Path(ref) if ref else folder / "ref.trn"
            if manifests:
                if facts["unit"] == "tokens":
                    raise ConfigError(f"{folder} holds units, not words: score it without --manifests")
                reference = results / "ref.trn"
                speakers = _references(Path(manifests), name, reference)
            shown = name if len(names) > 1 else ""
            _score_set(reference, hypotheses, results, facts, speakers, shown, measure, engine == "sctk")


def _references(manifests: Path, name: str, target: Path) -> dict[str, str]:
    """Write the set's transcripts as ``target``; returns the speaker of each utterance."""
    from asrpar.corpus.manifests import read_split
    from asrpar.score.trn import trn_line

    supervisions = read_split(manifests, name).supervisions
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing_text(target) as f:
        f.writelines(trn_line(s.text or "", s.id) for s in sorted(supervisions, key=lambda s: s.id))
    return {s.id: s.speaker or "unknown" for s in supervisions}


def _score_calls(manifests: Path, name: str, hyp: Path, results: Path, facts: dict[str, Any], measure: str) -> None:
    """By hubscr.pl."""
    from asrpar.errors import DataError
    from asrpar.score.report import wer_line
    from asrpar.score.sctk.decoded import score_decoded
    from asrpar.score.sctk.programs import find_sctk

    if facts.pop("unit", "words") == "tokens" or measure not in ("auto", "wer") or facts["optional_words"]:
        raise ConfigError(
            f"{name} is scored by hubscr.pl, which counts words as the NIST does: leave --measure and --optional-words "
            "out, or give --engine asrpar"
        )
    sctk = find_sctk()
    facts["versions"]["sclite"] = sctk.version()
    found = score_decoded(sctk, manifests, name, hyp, hyp.parent / "times.ctm", results, facts)
    for note in found.notes:
        click.echo(f"warning: {note}", err=True)
    _tell_missing(hyp, found.scores["all"])
    for part, scored in found.scores.items():
        click.echo(f"{name if part == 'all' else f'{name}/{part}'} {wer_line(scored)}")
    if found.faults:
        raise DataError(
            f"{results / 'wer.json'}: the reference of {name} is not the official one, and scores do not compare with "
            f"published ones: {'; '.join(found.faults)}"
        )


def _score_set(
    ref: Path,
    hyp: Path,
    output: Path,
    facts: dict[str, Any],
    speakers: dict[str, str] | None,
    name: str,
    measure: str,
    by_sclite: bool,
) -> None:
    from asrpar.score.report import summary, wer_line, write_report
    from asrpar.score.trn import count_bracketed, count_nested, read_transcripts
    from asrpar.score.wer import differs_in_case, pick_measure, score

    optional = facts["optional_words"]
    references = read_transcripts(ref, optional_words=optional)
    tokens = facts.pop("unit", "words") == "tokens"
    if measure == "auto":
        measure = "wer" if tokens else pick_measure(references.values())
    hypotheses = read_transcripts(hyp, may_be_empty=True, optional_words=optional)
    if by_sclite:
        scored = _by_sclite(ref, hyp, output, facts, speakers, measure)
    else:
        scored = score(references, hypotheses, speakers, measure)
    if measure != "cer" and differs_in_case(references, hypotheses):
        click.echo(
            f"warning: most words of {hyp} are in {ref} in another case only, and so errors: bring both to one case",
            err=True,
        )
    bracketed = 0 if optional else count_bracketed(references)
    if bracketed:
        click.echo(
            f"warning: {ref}: {bracketed} words in brackets count as words, as for sclite; with --optional-words they "
            "may be left out, as for sclite -D",
            err=True,
        )
    nested = 0 if by_sclite else count_nested(references) + count_nested(hypotheses)
    if nested:
        click.echo(
            f"warning: {ref}, {hyp}: {nested} utterances have alternatives within alternatives, of which sclite may "
            "choose others where several fit equally well; --engine sctk has it count",
            err=True,
        )
    metric = "PER" if tokens else measure.upper()
    numbers = summary(scored, facts, metric)
    write_report(output, scored, numbers)
    _tell_missing(hyp, scored)
    click.echo(f"{name} {wer_line(scored, metric)}".strip())


def _by_sclite(
    ref: Path, hyp: Path, output: Path, facts: dict[str, Any], speakers: dict[str, str] | None, measure: str
) -> "Score":
    from asrpar.score.sctk.programs import find_sctk
    from asrpar.score.sctk.sclite import score_transcripts

    if measure != "wer":
        raise ConfigError(f"sclite counts words here, and the measure is {measure}: --measure wer, or --engine asrpar")
    sctk = find_sctk()
    facts["versions"]["sclite"] = sctk.version()
    facts["scored_by"] = "sclite"
    return score_transcripts(sctk, ref, hyp, output / "sctk", speakers, facts["optional_words"])


def _tell_missing(hyp: Path, scored: "Score") -> None:
    if scored.missing:
        click.echo(
            f"warning: {hyp}: {len(scored.missing)} of {len(scored.utterances)} utterances have no hypothesis and "
            f"count as deletions, such as {', '.join(scored.missing[:3])}",
            err=True,
        )


def _facts(exp: Path | None, decoded: Path | None) -> dict[str, Any]:
    """What ``wer.json`` says beside the counts: how it was decoded and trained, and the scoring command."""
    from asrpar.info import git_hash, package_version
    from asrpar.score.origin import check_origin

    facts: dict[str, Any] = {"lm_scale": None, "beam": None, "chosen_on": None, "engine": None, "unit": "words"}
    seen_versions: dict[str, str] = {}
    if decoded is not None and (decoded / "decode.json").is_file():
        decode = read_json(decoded / "decode.json")
        if exp is not None:
            check_origin(exp, decode, decoded)
        kept = (*facts, "model_file", "model_sha256", "set", "word_penalty", "blank_penalty", "partial")
        kept += ("real_time_factor", "search", "lattice_beam", "dev_searches")
        # Of what asrpar rescore has made.
        kept += ("search_lm_scale", "lm", "lm_weight", "output", "mbr_scale", "oracle_wer", "n_best_oracle_wer")
        facts.update({key: decode[key] for key in kept if key in decode})
        facts["decode_command"] = decode.get("command")
        seen_versions = decode.get("versions", {})
    elif decoded is not None and not decoded.is_dir():
        raise MissingInputError(f"{decoded} is missing: run asrpar decode (stage 7) first")
    facts["command"] = shlex.join(sys.argv)
    facts["versions"] = {**seen_versions, "kaldialign": package_version("kaldialign")}
    facts["git_hash"] = git_hash()
    if exp is not None and (exp / "train.json").is_file():
        train = read_json(exp / "train.json")
        # The history of the losses stays where it is.
        kept = ("model", "parameters", "strategy", "learners", "seed", "epochs", "frames", "steps", "ema", "complete")
        kept += ("config_digest", "data_digest", "train_seconds", "frames_per_second")
        facts["training"] = {key: train[key] for key in kept if key in train}
    return facts
