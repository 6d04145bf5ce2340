"""``asrpar decode``: stage 7."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from asrpar.config import config_options, load_config
from asrpar.errors import ConfigError, DataError, MissingInputError
from asrpar.files.lock import reading
from asrpar.files.paths import entries, require_file


@click.command("decode")
@config_options
@click.option("--exp", required=True, metavar="DIR", help="Experiment of stage 6; results go to decode_<set> in it.")
@click.option("--feats", required=True, metavar="DIR", help="Features of stage 2.")
@click.option("--graph", metavar="DIR", help="Decoding graph of stage 5; the greedy engine needs none.")
@click.option("--lang", metavar="DIR", help="Language folder of stage 3: its lexicon makes word times exact.")
@click.option("--dev", default="dev", show_default=True, help="Set to choose LM scale and beam on; '': as before.")
@click.option("--test", "tests", default="test", show_default=True, help="Sets to decode, separated by commas.")
@click.option("--engine", help="kaldi, k2 or greedy; the same as --set engine=NAME.")
@click.option("--jobs", type=click.IntRange(0), help="Processes of the kaldi engine; 0: as many as there are cores.")
@click.option("--suffix", default="", metavar="NAME", help="Results go to decode_<set>_NAME, beside other ones.")
@click.option("--model", default="final.pt", show_default=True, help="Model, within the experiment or a path.")
def command(
    config_path: Any,
    overrides: tuple[str, ...],
    exp: str,
    feats: str,
    graph: str | None,
    lang: str | None,
    dev: str,
    tests: str,
    engine: str | None,
    jobs: int | None,
    suffix: str,
    model: str,
) -> None:
    """Stage 7: decode sets; LM scale and beam are chosen on dev.

    Writes hyp.trn, ref.trn, times.ctm and decode.json for the dev set and each test set.
    """
    from asrpar.decode.config import DecodeConfig, check_suffix

    check_suffix(suffix)
    if engine is not None:
        overrides = (*overrides, f"engine={engine}")
    if jobs is not None:
        overrides = (*overrides, f"jobs={jobs}")
    config = load_config(DecodeConfig, config_path, overrides)
    config.validate()
    sets = [name for name in (dev, *tests.split(",")) if name]
    if not sets:
        raise ConfigError("no set to decode: give --test or --dev")
    _check_inputs(Path(exp), Path(feats), sets)
    checkpoint = Path(exp) / model if (Path(exp) / model).exists() or model == "final.pt" else Path(model)
    require_file(checkpoint, "asrpar train (stage 6)")

    from asrpar.decode.engine import check_num_classes, device_of, make_engine
    from asrpar.decode.match import check_features, check_units
    from asrpar.decode.run import Job, decode_sets
    from asrpar.log import setup_logging
    from asrpar.score.origin import origin
    from asrpar.train.model_io import load_acoustic_model

    setup_logging(Path(exp) / "log" / "decode.log")
    device = device_of(config.device)
    module, facts = load_acoustic_model(checkpoint)
    module.to(device)
    folder = Path(graph) if graph else None
    language = Path(lang) if lang else None
    identity, settings = facts["identity"], _settings(Path(feats))
    check_features(identity, checkpoint, Path(feats), settings)
    mean_std = identity.mean_std if identity is not None else None
    # 0.01 s is Lhotse's default, which a configuration may leave out.
    shift = float(settings.fbank.get("frame_shift", 0.01))
    with reading(feats), make_engine(config, folder, shift * module.subsampling, language, device) as searcher:
        if "num_classes" in facts:
            check_num_classes(facts["num_classes"], searcher.classes, searcher.tokens_file)
        check_units(identity, checkpoint, searcher.classes, searcher.tokens_file)
        job = Job(
            Path(exp),
            module,
            device,
            lambda name: _batches(feats, name, config.max_frames, facts["num_features"], mean_std),
            _reference(searcher.unit, language),
            shift,
            {"model": str(checkpoint), **origin(checkpoint, Path(exp)), "device": device},
            folder,
            Path(feats),
            suffix,
        )
        decode_sets(job, searcher, config, dev or None, sets, _count_errors)


def _check_inputs(exp: Path, feats: Path, sets: list[str]) -> None:
    if not exp.is_dir():
        raise MissingInputError(f"there is no experiment {exp}: run asrpar train (stage 6) first")
    if not feats.is_dir():
        raise MissingInputError(f"there are no features in {feats}: run asrpar extract-features (stage 2) first")
    known = [p.name[len("cuts_") : -len(".jsonl.gz")] for p in entries(feats, "cuts_*.jsonl.gz")]
    for name in sets:
        if name not in known:
            raise MissingInputError(f"{feats} has no set '{name}'; it has {', '.join(known) or 'none'}")


def _batches(feats: str, name: str, max_frames: int, width: int, mean_std: Any) -> Iterator[Any]:
    """The batches of a set, which must have ``width`` features a frame, as the model was trained with.

    ``mean_std`` are the model's statistics; None, of models of earlier versions, for those of the folder.
    """
    from asrpar.feats import eval_batches

    for batch in eval_batches(feats, name, max_frames=max_frames, mean_std=mean_std):
        found = batch.features.shape[2]
        if found != width:
            raise DataError(
                f"the set '{name}' in {feats} has {found} features a frame, but the model was trained with {width}: "
                "decode features of the same settings"
            )
        yield batch


def _settings(feats: Path) -> Any:
    from asrpar.feats.config import FeatureConfig

    require_file(feats / "feats.yaml", "asrpar extract-features (stage 2)")
    return load_config(FeatureConfig, feats / "feats.yaml")


def _reference(unit: str, lang: Path | None) -> Any:
    """Transcript to reference text: itself, or its units where the engine gives units."""
    if unit == "words":
        return lambda text: text
    if lang is None:
        raise ConfigError(
            "greedy decoding of phones gives phones, not words: give --lang to score a phone error rate, "
            "or decode words with --engine kaldi and --graph"
        )
    from asrpar.lang.lang import Lang

    language = Lang.load(lang)
    return lambda text: " ".join(language.tokens[i] for i in language.encode(text))


def _count_errors(hypotheses: list, references: Any) -> dict[str, float]:
    from asrpar.score.align import Counts
    from asrpar.score.wer import pick_measure, utterance_counts

    measure = pick_measure(text.split() for text in references.values())
    total = Counts()
    for h in hypotheses:
        total += utterance_counts(references[h.utt_id].split(), h.words, measure)
    if total.ref == 0:
        raise DataError("the dev set has no words: there is nothing to choose the LM scale by")
    return {
        "wer": round(total.rate, 4),
        "errors": total.errors,
        "ref_words": total.ref,
        "ins": total.ins,
        "del": total.dele,
        "sub": total.sub,
    }
