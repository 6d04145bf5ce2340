"""A small Hub5'00: two calls of tones with segments, references and a word map, laid out as the LDC lays them out."""

from pathlib import Path

import numpy as np
import soundfile

SPHERE = "data/hub5e_00/english"
REFERENCE = "transcripts/2000_hub5_eng_eval_tr/reference"
HEAD = """\
;; CATEGORY "0" "" ""
;; LABEL "O" "Overall" "Overall"
;; LABEL "en" "CallHome" "CallHome"
;; LABEL "sw" "Switchboard" "Switchboard"
"""
# Made up. (conversation, channel, begin, end, label, text)
SEGMENTS = [
    ("en_9001", "A", 0.5, 2.0, "<O,en>", " WE ARE ((%HESITATION) HERE"),
    ("en_9001", "A", 2.0, 3.5, "<O,en>", "<B_ASIDE> COME IN <E_ASIDE>  OKAY"),
    ("en_9001", "B", 1.0, 2.5, "<O,en>", "UH-HUH (TH-) THE  { DOG / DOGS } BARKED"),
    ("en_9001", "B", 3.0, 3.8, "<O,en>", "IGNORE_TIME_SEGMENT_IN_SCORING"),
    ("sw_9002", "A", 0.2, 1.9, "<O,sw>", "I B M IS A COMPANY"),
    ("sw_9002", "B", 2.0, 3.9, "<O,sw>", "HE IS RIGHT"),
]


# A word map in the style of NIST's: backchannels, hesitations, compounds, contractions of the hypotheses alone.
GLM = """\
;; The first character of the file is that of comments.
* name "small.glm"
* desc "made up"
* format = 'NIST1'
* max_nrules = '100'
* copy_no_hit = 'T'
* case_sensitive = 'F'

UH-HUH => %BCACK / [ ] __ [ ]
UM-HUM => %BCACK / [ ] __ [ ]
UH => %HESITATION / [ ] __ [ ]
UM => %HESITATION / [ ] __ [ ]
OKAY => O. K. / [ ] __ [ ]
OK => O. K. / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "ctm"
[WE'RE] => [{WE ARE / WE WERE}] / [ ] __ [ ]
[HE'S] => [{HE IS / HE HAS}] / [ ] __ [ ]
"""


def line(conversation, channel, begin, end, label, text) -> str:
    """As in an STM."""
    return f"{conversation} {channel} {conversation}_{channel} {begin:.2f} {end:.2f} {label} {text}\n"


def make_hub5(folder: Path, segments=SEGMENTS, seconds: float = 4.0) -> Path:
    """The tree; returns ``folder``."""
    (folder / SPHERE).mkdir(parents=True)
    (folder / REFERENCE).mkdir(parents=True)
    for conversation in dict.fromkeys(s[0] for s in segments):
        call(folder / SPHERE / f"{conversation}.sph", seconds)
    pem = "".join(f"{c} {side} unknown_speaker {b:.2f} {e:.2f}\n" for c, side, b, e, *_ in segments)
    (folder / SPHERE / "hub5e_00.pem").write_text(";; made by a test\n" + pem)
    (folder / REFERENCE / "hub5e00.english.000405.stm").write_text(HEAD + "".join(line(*s) for s in segments))
    (folder / REFERENCE / "en20000405_hub5.glm").write_text(GLM)
    return folder


def call(path: Path, seconds: float = 4.0, rate: int = 8000) -> None:
    """A call whose sides hum different tones: mu-law Sphere of two channels."""
    t = np.arange(round(seconds * rate)) / rate
    sides = np.stack([0.3 * np.sin(2 * np.pi * f * t) for f in (300, 700)], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), sides, rate, format="NIST", subtype="ULAW")
