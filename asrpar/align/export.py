"""Times of words and phones in the forms of others; `asrpar.align.kaldi` writes labels of frames for Kaldi."""

import re
from collections.abc import Sequence
from pathlib import Path

from asrpar.align.formats import FORMATS
from asrpar.errors import DataError
from asrpar.files.replacing import check_replaceable, replacing_folder
from asrpar.hmm.alignments import Alignments
from asrpar.log import get_logger

LOG = get_logger(__name__)
OWN = re.compile(r"(words|phones)_.+\.ctm|textgrid_.+")


def export_alignment(ali: Path, output: Path, formats: Sequence[str], sets: Sequence[str] = ()) -> None:
    """Write an alignment into a new folder.

    Args:
        ali: ALI folder.
        output: replaced if it is there, and was written by this.
        formats: names.
        sets: of these; without, of all.

    Raises:
        ConfigError: an unknown format, or ``output`` holds something else.
        DataError: an unknown set, or an alignment without phones.
    """
    check_replaceable(output, OWN, "times of an alignment")
    found = Alignments.open(ali)
    made = {name: FORMATS.load(name)() for name in formats}
    for name in sets or found.sets:
        if found.segments(name) is None:
            raise DataError(
                f"{ali} has labels of frames of {name}, but no phones, as of an imported alignment: there is no "
                f"{' and no '.join(formats)} of it"
            )
    with replacing_folder(output) as fresh:
        for name in sets or found.sets:
            utterances = sorted(found.utterances(name), key=lambda u: u.id)
            for one in made.values():
                one.write(fresh, name, utterances, found.tree)
            LOG.info("%s: %d utterances of %s as %s", output, len(utterances), name, ", ".join(made))
