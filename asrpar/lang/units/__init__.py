"""What the acoustic model tells apart: one page for each kind of units."""

from asrpar.choices import Family

# Modules with `Settings` and `Units` (see `asrpar.lang.units.contract`).
UNITS = Family("asrpar.lang.units", "units", "Units", plural="unit_settings")
