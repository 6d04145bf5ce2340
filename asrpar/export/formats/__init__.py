"""Forms of export by name, one file each with a `Format`."""

from asrpar.choices import Family

FORMATS = Family("asrpar.export.formats", "format", "Format", mark="Format")
