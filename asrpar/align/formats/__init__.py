"""What alignments can be written as: each module has ``Format`` (see `asrpar.align.formats.contract`)."""

from asrpar.choices import Family

FORMATS = Family("asrpar.align.formats", "format", "Format", mark="Format")
