"""Speech from espeak-ng: the same samples for the same request, whatever was spoken before.

The library keeps state from one utterance to the next (oscillator phase, pitch tracking, even the translation of
the first word), and terminating and initialising it again does not clear it. So each utterance gets the library
freshly loaded: its static data then starts from the file. That costs 4 ms.
"""

import _ctypes
import ctypes
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asrpar.corpus.synthetic.events import Event, RawEvent, events_of, word_spans
from asrpar.errors import DataError

# Values of the enumerations in espeak-ng's speak_lib.h.
_SYNCHRONOUS_RETRIEVAL = 2
_DONT_EXIT = 0x8000
_PHONEME_EVENTS = 1
_CHARACTERS = 1
_UTF8_WITH_END_PAUSE = 1 | 0x1000
_PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4, "punctuation": 5, "capitals": 6, "wordgap": 7}

_DATA_FILES = ("phontab", "phonindex", "phondata", "intonations", "en_dict")

# Accents that espeak-ng knows by another name than their language code.
_ALIASES = {"en-gb": "en"}

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(RawEvent))


def _paths() -> tuple[str, str]:
    """Where the library and its data are; raises DataError if they cannot be found."""
    try:
        import espeakng_loader

        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    except (ImportError, RuntimeError, OSError) as e:
        raise DataError(f"espeak-ng is not usable ({e}): pip install espeakng-loader") from e
    needed = [Path(library), *(Path(data, name) for name in _DATA_FILES)]
    if not all(path.is_file() and path.stat().st_size for path in needed):
        raise DataError(
            f"espeak-ng is incomplete in {Path(library).parent}: pip install --force-reinstall espeakng-loader"
        )
    return library, data


def _load(library: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(library)
    except OSError as e:
        raise DataError(
            f"espeak-ng's library does not load ({e}): pip install --force-reinstall espeakng-loader"
        ) from e


def _initialize(lib: ctypes.CDLL, data: str) -> int:
    rate = lib.espeak_Initialize(_SYNCHRONOUS_RETRIEVAL, 0, data.encode(), _DONT_EXIT | _PHONEME_EVENTS)
    if rate <= 0:
        raise DataError(
            f"espeak-ng does not start with the data in {data}: pip install --force-reinstall espeakng-loader"
        )
    return rate


def version() -> str:
    """espeak-ng's version, such as ``1.52.0``. The samples may differ between versions."""
    library, data = _paths()
    lib = _load(library)
    try:
        _initialize(lib, data)
        lib.espeak_Info.restype = ctypes.c_char_p
        return lib.espeak_Info(None).decode().split()[0]
    finally:
        lib.espeak_Terminate()
        _unload(lib, library)


def check_voice(voice: str) -> None:
    """Raise DataError unless ``voice`` (accent, or accent+variant such as ``en-us+m3``) exists.

    espeak-ng itself takes an unknown variant silently for none, which would make two speakers one.
    """
    library, data = _paths()
    accent, _, variant = voice.partition("+")
    if variant and not Path(data, "voices", "!v", variant).is_file():
        raise DataError(
            f"espeak-ng has no variant '{variant}' (voice '{voice}'); m1 to m8 and f1 to f5 exist, among others"
        )
    lib = _load(library)
    try:
        _initialize(lib, data)
        if not accent or lib.espeak_SetVoiceByName(_espeak_name(voice).encode()) != 0:
            raise DataError(f"espeak-ng has no accent '{accent}' (voice '{voice}'); try en-us, en-gb, en-gb-scotland")
    finally:
        lib.espeak_Terminate()
        _unload(lib, library)


class Speech(NamedTuple):
    """What was spoken.

    Attributes:
        samples: (S,) int16.
        rate: samples a second, 22050.
        words: first sample and last + 1 of each word of the text; None where espeak-ng does not say it.
    """

    samples: np.ndarray
    rate: int
    words: list[tuple[int, int] | None]


def speak(text: str, voice: str, *, rate: int, pitch: int, seed: int) -> Speech:
    """Speak ``text``.

    Args:
        text: what to say, in ordinary spelling.
        voice: accent or accent+variant, as `check_voice` accepts.
        rate: words per minute, 80 to 450.
        pitch: 0 to 100; 50 is the voice's own.
        seed: for the library's generator of breath noise.

    Raises:
        DataError: the library is missing, broken, or made no sound.
    """
    library, data = _paths()
    lib = _load(library)
    chunks: list[np.ndarray] = []
    events: list[Event] = []

    def receive(samples: ctypes.POINTER, count: int, raw: ctypes.POINTER) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        events.extend(events_of(raw))
        return 0

    callback = _CALLBACK(receive)  # must outlive the synthesis
    try:
        sampling_rate = _initialize(lib, data)
        lib.espeak_SetSynthCallback(callback)
        if lib.espeak_SetVoiceByName(_espeak_name(voice).encode()) != 0:
            raise DataError(f"espeak-ng has no voice '{voice}'")
        values = dict.fromkeys(_PARAMETERS, 0) | {"rate": rate, "volume": 100, "pitch": pitch, "range": 50}
        for name, number in _PARAMETERS.items():
            lib.espeak_SetParameter(number, values[name], 0)
        lib.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        lib.espeak_ng_SetRandSeed(seed)
        encoded = text.encode()
        status = lib.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, _CHARACTERS, 0, _UTF8_WITH_END_PAUSE, None, None
        )
        lib.espeak_Synchronize()
    finally:
        lib.espeak_Terminate()
        _unload(lib, library)
    if status != 0 or not chunks:
        raise DataError(f"espeak-ng failed on '{text}' with voice '{voice}' (status {status})")
    samples = np.concatenate(chunks)
    return Speech(samples, sampling_rate, word_spans(text, events, len(samples), sampling_rate))


def _espeak_name(voice: str) -> str:
    accent, plus, variant = voice.partition("+")
    return _ALIASES.get(accent, accent) + plus + variant


def _unload(lib: ctypes.CDLL, library: str) -> None:
    """Unload the library, and make sure that it is gone: otherwise the next utterance would depend on this one."""
    import os

    _ctypes.dlclose(lib._handle)
    try:
        still_there = ctypes.CDLL(library, mode=os.RTLD_NOLOAD)
    except OSError:
        return
    _ctypes.dlclose(still_there._handle)
    raise DataError(
        "espeak-ng stays loaded in this process (another package uses it, or this system never unloads libraries), "
        "so its speech would not be reproducible: run `asrpar synthesize` in a process of its own, on Linux with glibc"
    )
