"""What this computer's processor can do, as the kernel tells it; cheap, and without torch."""

import os
import platform
from functools import lru_cache
from pathlib import Path

# What decides how fast matrices are multiplied, best first: a processor with one of them has the later ones as well.
UNITS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")


@lru_cache(maxsize=1)
def cpuinfo() -> dict[str, str]:
    """The first processor's entries in ``/proc/cpuinfo``; empty where there is none."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def matrix_units() -> list[str]:
    """Those of `UNITS` that this processor has."""
    flags = cpuinfo().get("flags", "").split()
    return [unit for unit in UNITS if unit in flags]


def cpu() -> str:
    """The processor's name and its matrix units, on one line."""
    found = cpuinfo()
    name = found.get("model name") or found.get("Model") or platform.processor() or platform.machine()
    return f"{name} ({', '.join(matrix_units()) or 'none of ' + ', '.join(UNITS)})"


def lacks_fast_bf16() -> str:
    """Why it is not certain that bfloat16 is faster than float32 here; empty if it is.

    Only AMX gains everywhere: with AVX-512-BF16 alone it depends on the processor (0.85 to 1.6 times the speed), and
    without it bfloat16 is ten times slower. Who holds the libraries to an older instruction set has none of it.
    """
    if "amx_bf16" not in matrix_units():
        return f"{cpu()} has no amx_bf16"
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):  # its older name holds, too
        isa = os.environ.get(name, "").upper()
        if isa not in ("", "ALL", "DEFAULT") and "AMX" not in isa:
            return f"{name}={isa} leaves out AMX"
    aten = os.environ.get("ATEN_CPU_CAPABILITY", "").lower()
    if aten in ("default", "avx2"):
        return f"ATEN_CPU_CAPABILITY={aten} leaves out AVX-512"
    return ""
