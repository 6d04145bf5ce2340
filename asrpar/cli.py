"""The ``asrpar`` command group.

``asrpar --help`` must answer at once, so this file knows each command's name and one line about it, and imports the
module behind a command only when that command runs.
"""

from asrpar.launch.safepath import inherited, leave_empty_entries

leave_empty_entries()

# ruff: noqa: E402
import importlib
import os
import re
import select
import sys
from contextlib import suppress

import click

from asrpar import __version__
from asrpar.errors import AsrparError
from asrpar.files.paths import system_error
from asrpar.files.text import one_line
from asrpar.launch.around import end_with_scripts
from asrpar.launch.guard import CHILD_OF, leave_with_parent
from asrpar.names import nearest, unknown

# name: (module that holds a click command named `command`, what it does)
COMMANDS: dict[str, tuple[str, str]] = {
    "info": ("asrpar.commands.info", "Print versions, MPI, devices, host and git hash."),
    "help": ("asrpar.commands.help", "Print the help of a command, or all choices and settings (help settings)."),
    "launch": ("asrpar.commands.launch", "Start a command on N learners with mpirun or srun."),
    "recipe": ("asrpar.commands.recipe", "List the recipes that come with asrpar, and copy one."),
    "download": ("asrpar.commands.download", "Stage 0: fetch a corpus, or check the copy you have."),
    "synthesize": ("asrpar.commands.synthesize", "Stage 0 of egs/mini: speak the synthetic corpus with espeak-ng."),
    "prepare-manifests": ("asrpar.commands.prepare_manifests", "Stage 1: make Lhotse manifests of a corpus."),
    "prepare-dict": ("asrpar.commands.prepare_dict", "Stage 3: lexicon and LM text that come with a corpus."),
    "import-kaldi": ("asrpar.commands.kaldi", "Make manifests from a Kaldi data folder."),
    "export-kaldi": ("asrpar.commands.kaldi", "Write manifests as a Kaldi data folder."),
    "import-kaldi-ali": (
        "asrpar.commands.kaldi_ali",
        "Stage 4 with Kaldi's alignments: labels, tree, transition model.",
    ),
    "export-kaldi-ali": ("asrpar.commands.kaldi_ali", "Write an alignment, its tree and transition model for Kaldi."),
    "validate-data": ("asrpar.commands.validate_data", "Check a Kaldi data folder or a set of manifests."),
    "extract-features": ("asrpar.commands.extract_features", "Stage 2: filter banks and their statistics."),
    "prepare-lang": ("asrpar.commands.prepare_lang", "Stage 3: lexicon, units and language model."),
    "train-lm": ("asrpar.commands.lm", "Estimate an n-gram model of text of any size."),
    "mix-lm": ("asrpar.commands.lm", "Mix language models, with weights found on held-out text."),
    "prune-lm": ("asrpar.commands.lm", "Drop n-grams of a language model that matter least."),
    "perplexity": ("asrpar.commands.lm", "Perplexity of text under language models."),
    "align": ("asrpar.commands.align", "Stage 4 of hybrid models: which state each frame belongs to."),
    "export-alignment": ("asrpar.commands.export_alignment", "Times of words and phones as CTM or TextGrid."),
    "build-tree": (
        "asrpar.commands.build_tree",
        "Stage 4: tie states of phones in context, and label an alignment anew.",
    ),
    "make-graph": ("asrpar.commands.make_graph", "Stage 5: the decoding graph, for OpenFst and k2."),
    "train": ("asrpar.commands.train", "Stage 6: train an acoustic model (under `asrpar launch` for N learners)."),
    "simulate": ("asrpar.commands.simulate", "Train on a virtual cluster: many learners in one process."),
    "average": ("asrpar.commands.average", "One model of several epochs: the mean of their weights."),
    "decode": ("asrpar.commands.decode", "Stage 7: decode sets; LM scale and beam are chosen on dev."),
    "rescore": ("asrpar.commands.rescore", "Stage 7 on lattices: another LM, other scales, least expected errors."),
    "transcribe": ("asrpar.commands.transcribe", "Recognise recordings of your own with a trained model."),
    "export": ("asrpar.commands.export", "Write a trained model as ONNX, or as sherpa-onnx loads it."),
    "score": ("asrpar.commands.score", "Stage 8: WER with its confidence interval."),
    "study": ("asrpar.commands.study", "Run a grid of simulated trainings and report on it."),
    "plot": ("asrpar.commands.plot", "Draw the curves of one or several trainings."),
    "compare": ("asrpar.commands.compare", "Tabulate the results of several experiments."),
}


# Metavariables of what is a file or folder.
PATHS = ("DIR", "FILE", "EXP...", "YAML", "CONF.yaml", "DATA_DIR", "MANIFESTS", "EXP", "FEATS", "AUDIO...")


class LazyGroup(click.Group):
    """A command group that imports a command's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names, in the order of a recipe's stages."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        # A module with several commands names them after the command line.
        command = getattr(module, cmd_name.replace("-", "_"), None) or module.command
        if "_ASRPAR_COMPLETE" in os.environ:
            for param in command.params:
                name = param.name.upper() if isinstance(param, click.Argument) else None
                if (param.metavar or name) in PATHS:
                    param.type = click.Path()  # so that the shell completes files
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, with the nearest known name in the error."""
        if args and args[0] not in COMMANDS:
            raise unknown("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="asrpar")
def cli() -> None:
    """Train speech-recognition acoustic models in parallel, and find out which algorithm suits your cluster."""


def main(args: list[str] | None = None) -> None:
    """Run a command; a user's mistake ends in one line on stderr and exit code 1 (2 for wrong options)."""
    _open_closed_streams()
    if os.environ.pop(CHILD_OF, "") == str(os.getppid()):
        leave_with_parent()
    watcher = end_with_scripts(look_only=(sys.argv[1:] if args is None else args)[:1] == ["launch"])  # noqa: F841
    try:
        with inherited():
            cli.main(args=args, prog_name="asrpar", standalone_mode=False)
    except AsrparError as e:
        _die(str(e), 1)
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.ctx.get_help(), err=True)
        sys.exit(2)
    except click.UsageError as e:
        where = f" ({e.ctx.command_path} --help lists the options)" if e.ctx else ""
        _die(_usage(e, sys.argv[1:] if args is None else args) + where, 2)
    except click.ClickException as e:
        _die(e.format_message(), e.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort) as e:
        if isinstance(e.__cause__, EOFError):
            raise e.__cause__ from None  # click takes the end of any file for that of the terminal's input
        _die("interrupted", 130)
    except OSError as e:
        # Full disks, unwritable folders and the like are the user's to mend, and errno says it best.
        if e.errno is None:
            raise
        if isinstance(e, BrokenPipeError) and e.filename is None and _nobody_reads():
            sys.exit(141)  # whoever read our output has heard enough, as `head` does: what a shell reports of SIGPIPE
        _die(system_error(e), 1)
    except (MemoryError, RuntimeError) as e:
        # torch's error is a RuntimeError, on a GPU one of its own.
        reason = str(e).strip().split("\n")[0]
        if not isinstance(e, MemoryError) and not re.search("out of memory|can't allocate memory", reason):
            raise
        _die(f"out of memory{reason and f' ({reason})'}: smaller batches or a smaller model need less", 1)


def _open_closed_streams() -> None:
    """Let what a shell has closed (``>&-``) lead nowhere.

    Else the next file that is opened takes its number, and gets what libraries write to stdout and stderr.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _nobody_reads() -> bool:
    """Whether stdout leads nowhere any more; what is left for it is then dropped."""
    look = select.poll()
    look.register(1, select.POLLOUT)
    if not any(event & select.POLLERR for _, event in look.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return True


def _usage(error: click.UsageError, args: list[str]) -> str:
    """The mistake in a command line, without a full stop; of options that there are, the nearest to a wrong one."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error.format_message().rstrip(".")
    name = error.option_name
    if len(name) == 2:  # of -learners click names one letter alone
        words = (arg.partition("=")[0] for arg in args)
        name = next((w for w in words if w[:1] == "-" and w[:2] != "--" and name[1] in w), name)
    known = [option for param in error.ctx.command.get_params(error.ctx) for option in param.opts]
    near = nearest(name.lstrip("-"), [option[2:] for option in known if option[:2] == "--"])  # dashes are no likeness
    hint = f"; did you mean '--{near}'?" if near else ""
    if not near and error.ctx.command.name == "train" and name == "--learners":
        hint = ": learners are started by asrpar launch --learners N -- train ..."
    elif not near and "--set" in known:
        hint = ": settings are given as --set KEY=VALUE, and asrpar help settings lists them"
    return f"No such option '{name}'{hint}"


def _die(message: str, code: int) -> None:
    # Inside an MPI job the exit must take the other ranks down too; sys.exit under `-m mpi4py` does that.
    with suppress(OSError):  # the exit code matters more than words that nobody reads
        print(f"asrpar: error: {one_line(message)}", file=sys.stderr, flush=True)
    sys.exit(code)
