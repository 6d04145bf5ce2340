"""Small trees of Switchboard and Fisher: calls of noise with a few lines each. Real speech is in tests/egs/trees."""

from pathlib import Path

import numpy as np
from trees.sphere import write_sphere

DICTIONARY = """\
Lexicon of this miniature, the line that is no entry
# comment
IBM ay b iy eh m
TVs t iy v iy z
NASA n ae s ax
[laughter-yeah] y ae
yeah y ae
yeah y eh ax
okay_1 ow k ey
-[an]y iy
th[at]- dh
{weirdly} w ih r d l iy
AT&amp;T ey t iy ax n t iy
[silence] SIL
[noise] SIL
i ay
think th ih ng k
so s ow
"""


def noise(seconds: float, seed: int) -> np.ndarray:
    """(2, S) of hiss at 8 kHz, the second channel louder."""
    hiss = np.random.default_rng(seed).normal(0, 0.02, (2, round(8000 * seconds)))
    return (hiss * np.array([[1.0], [4.0]])).astype(np.float32)


def make_switchboard(folder: Path, calls: dict[str, dict[str, str]], seconds: float = 6.0, **header: object) -> Path:
    """LDC97S62 and transcripts: number of a call → side → lines ``START END WORDS``; returns ``folder``."""
    for number, sides in calls.items():
        write_sphere(folder / f"swb1_d1/data/sw0{number}.sph", noise(seconds, int(number)), **header)
        for side, lines in sides.items():
            path = folder / f"swb_ms98_transcriptions/{number[:2]}/{number}/sw{number}{side}-ms98-a-trans.text"
            path.parent.mkdir(parents=True, exist_ok=True)
            numbered = enumerate(lines.strip().split("\n"), 1)
            path.write_text("".join(f"sw{number}{side}-ms98-a-{n:04d} {line.strip()}\n" for n, line in numbered))
    (folder / "swb_ms98_transcriptions/sw-ms98-dict.text").write_text(DICTIONARY)
    return folder


def make_fisher(folder: Path, calls: dict[str, str], seconds: float = 6.0) -> Path:
    """Discs and transcripts of Fisher: number of a call → lines; returns ``folder``."""
    for number, lines in calls.items():
        name = f"fe_03_{number}"
        write_sphere(
            folder / f"fe_03_p1_sph1/audio/{number[:3]}/{name}.sph", noise(seconds, int(number)), compressed=True
        )
        path = folder / f"fe_03_p1_tran/data/trans/{number[:3]}/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        body = "\n\n".join(line.strip() + " " for line in lines.strip().split("\n"))
        path.write_text(f"# {name}.sph\n# Transcribed at the LDC\n\n{body}\n")
    return folder
