"""``asrpar transcribe``: recordings of one's own."""

from pathlib import Path
from typing import Any

import click

from asrpar.config import choosing, config_options, load_config
from asrpar.errors import ConfigError
from asrpar.option_types import FiniteRange

FORMATS = ("text", "trn", "ctm", "srt", "json")


@click.command("transcribe")
@config_options
@click.argument("audio", nargs=-1, required=True, metavar="AUDIO...")
@click.option("--exp", required=True, metavar="DIR", help="Experiment with the model; nothing is written there.")
@click.option(
    "--graph", metavar="DIR", help="Decoding graph of stage 5; without, the best unit of each frame is taken."
)
@click.option("--lang", metavar="DIR", help="Language folder of stage 3: its lexicon makes word times exact.")
@click.option("--engine", metavar="NAME", help="Engine; the same as --set engine=NAME.")
@click.option(
    "--jobs",
    type=click.IntRange(0),
    help="Processes of an engine that has them; 0: one for each core.",
)
@click.option("--model", default="final.pt", show_default=True, help="Model, within the experiment or a path.")
@click.option(
    "--channel", type=click.IntRange(0), help="Channel of recordings that have several, from 0; else their mean."
)
@click.option(
    "--max-seconds",
    type=FiniteRange(1),
    default=30.0,
    show_default=True,
    help="What is recognised as a whole; longer recordings are cut in pauses.",
)
@click.option(
    "--min-pause",
    type=FiniteRange(0.1),
    default=0.3,
    show_default=True,
    help="Seconds of a pause in which these are cut.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Of the output.")
@click.option("--output", metavar="FILE", help="Where the words go, instead of stdout.")
@click.option("--output-dir", metavar="DIR", help="A file for each recording there: NAME.txt, NAME.srt and so on.")
def command(
    config_path: Any,
    overrides: tuple[str, ...],
    audio: tuple[str, ...],
    exp: str,
    graph: str | None,
    lang: str | None,
    engine: str | None,
    jobs: int | None,
    model: str,
    channel: int | None,
    max_seconds: float,
    min_pause: float,
    form: str,
    output: str | None,
    output_dir: str | None,
) -> None:
    """Recognise recordings of any length: any files that libsndfile reads (wav, flac, mp3, ogg and opus, Sphere).

    Other sampling rates are resampled, of several channels the mean is taken, and longer recordings are cut in pauses.
    Features, their statistics and the units are those that the model knows; LM scale, beam and penalties those that
    were chosen on dev when the experiment was decoded with this graph, but for what --set or --config give. Prints
    NAME, a tab and the words, one line for each recording; formats are also trn, ctm (NIST's, with times), srt
    (subtitles) and json (an object a line).
    """
    from asrpar.decode.config import GivenConfig
    from asrpar.decode.engines import ENGINES, jobs_of_engines
    from asrpar.score.folders import model_file

    paths = [Path(a) for a in audio]
    _spare(paths, output)
    if output and output_dir:
        raise ConfigError("--output is one file for all, --output-dir one for each: give one of them")
    if form == "srt" and len(paths) > 1 and not output_dir:
        raise ConfigError("subtitles are of one recording: give --output-dir for a file each")
    overrides = choosing(overrides, "engine", engine)
    named = [item.removeprefix("engine=") for item in overrides if item.startswith("engine=")]
    if graph is None and named and ENGINES.load(named[-1]).needs_graph:
        raise ConfigError(f"the {named[-1]} engine needs --graph")
    wanted = overrides if graph or named else choosing(overrides, "engine", "greedy")
    given = load_config(GivenConfig, config_path, (*wanted, *jobs_of_engines(jobs)))
    checkpoint = model_file(Path(exp), model)

    from asrpar.decode.recogniser import recogniser
    from asrpar.decode.transcribe import names_of
    from asrpar.decode.transcript import write_all
    from asrpar.feats.recording import Cutting
    from asrpar.log import setup_logging

    log = setup_logging()
    names = names_of(paths, one_field=form in ("trn", "ctm"), by_stem=bool(output_dir))
    cutting = Cutting(channel, max_seconds, min_pause)
    folder, language = Path(graph) if graph else None, Path(lang) if lang else None
    with recogniser(given, Path(exp), checkpoint, folder, language, cutting) as words:
        if words.unit != "words":
            log.warning("the units are phones, and so is what is printed: words need --graph")
        found = words.recognise(dict(zip(names, paths, strict=True)))
        write_all(found, form, Path(output) if output else None, Path(output_dir) if output_dir else None)


def _spare(audio: list[Path], output: str | None) -> None:
    """Raise `ConfigError` if the words would be written over a recording."""
    if output is not None and Path(output).exists():
        over = next((path for path in audio if path.exists() and path.samefile(output)), None)
        if over is not None:
            raise ConfigError(f"--output {output} is the recording {over}: give another file")
