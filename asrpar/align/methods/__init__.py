"""How frames are aligned: each module has ``Settings`` and ``Method`` (see `asrpar.align.contract`)."""

from asrpar.choices import Family

METHODS = Family("asrpar.align.methods", "method", "Method")
