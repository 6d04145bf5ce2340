import hashlib
import json
import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from asrpar.config import check
from asrpar.corpus.checks.folders import check_paths
from asrpar.corpus.checks.report import Limits
from asrpar.corpus.manifests import write_manifests
from asrpar.corpus.synthetic import espeak
from asrpar.corpus.synthetic.config import SplitConfig, SyntheticConfig, speaker_of
from asrpar.corpus.synthetic.corpus import speak_talkers, synthesize_corpus, synthesize_utterance
from asrpar.corpus.synthetic.noise import add_noise, babble_noise, pink_noise, white_noise
from asrpar.corpus.synthetic.splits import mini_splits
from asrpar.corpus.synthetic.words import LEXICON, SPOKEN, draw_sentence, lexicon_text
from asrpar.errors import ConfigError, DataError, MissingInputError

pytestmark = pytest.mark.slow

SMALL = {"train.utterances": "44", "dev.utterances": "6", "test.utterances": "10"}


def small_config(**changes):
    config = SyntheticConfig(**changes)
    for name, number in SMALL.items():
        getattr(config, name.split(".")[0]).utterances = int(number)
    return config


def tiny_config():
    train, dev, test = (SplitConfig(2, [f"en-us+{v}"]) for v in ("m1", "m2", "f1"))
    return SyntheticConfig(train=train, dev=dev, test=test)


def read_facts(corpus):
    return [json.loads(line) for line in (corpus / "utterances.jsonl").read_text().splitlines()]


def tree_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "corpus"
    assert synthesize_corpus(small_config(), folder, 1)
    return folder


def test_same_bytes_from_another_process_and_another_number_of_them(corpus, tmp_path):
    command = [sys.executable, "-m", "asrpar", "synthesize", "--output", str(tmp_path / "corpus"), "--jobs", "2"]
    for name, value in SMALL.items():
        command += ["--set", f"{name}={value}"]
    env = os.environ | {"PYTHONHASHSEED": "1", "MALLOC_PERTURB_": "41"}
    subprocess.run(command, check=True, env=env, capture_output=True, timeout=120)
    assert tree_hash(tmp_path / "corpus") == tree_hash(corpus)


def test_an_utterance_does_not_depend_on_what_was_spoken_before():
    def said(text, voice):
        return espeak.speak(text, voice, rate=170, pitch=50, seed=1)[0].tobytes()

    requests = [("zero one", "en-us+m1"), ("zero open door", "en-gb+f5"), ("call oh", "en-gb-scotland+m5")]
    forwards = [said(*r) for r in requests]
    backwards = [said(*r) for r in reversed(requests)]
    assert forwards == backwards[::-1]


def test_words_are_where_espeak_says():
    speech = espeak.speak("seven two, turn off the kitchen light", "en-us+m3", rate=160, pitch=50, seed=5)
    seven, two, turn, off, *_ = (np.array(span) / speech.rate for span in speech.words)
    assert seven[0] == pytest.approx(0.013, abs=0.005)  # there is a gap before an S
    assert seven[1] == two[0] == pytest.approx(0.40, abs=0.01)  # the closure of T is T's
    assert two[1] == pytest.approx(0.73, abs=0.01) and turn[0] == pytest.approx(0.91, abs=0.01)  # a pause is no word's
    assert turn[1] == off[0] == pytest.approx(1.20, abs=0.01)  # not before the N that espeak-ng joins to the vowel


def test_settings_reach_the_speech():
    def length(rate=160, pitch=50, voice="en-us+m1"):
        return espeak.speak("one two three", voice, rate=rate, pitch=pitch, seed=1)[0]

    assert len(length(rate=200)) < 0.9 * len(length(rate=140))
    assert length(pitch=30).tobytes() != length(pitch=70).tobytes()
    assert length(voice="en-us+m2").tobytes() != length().tobytes()


def test_another_seed_is_another_corpus(corpus, tmp_path):
    config = small_config(seed=2)
    a, facts = synthesize_utterance(config, "test", 0, speak_talkers(config, "test"))
    (old,) = [f for f in read_facts(corpus) if f["id"] == facts["id"]]
    assert old != facts
    assert a.dtype == np.int16 and len(a) == round(facts["seconds"] * 16000)


def test_corpus_files_agree(corpus):
    facts = read_facts(corpus)
    assert [f["id"] for f in facts] == sorted(f["id"] for f in facts)
    settings = json.loads((corpus / "corpus.json").read_text())["settings"]
    speakers = {}
    for split, number in (("train", 44), ("dev", 6), ("test", 10)):
        mine = [f for f in facts if f["split"] == split]
        assert len(mine) == number
        text = (corpus / f"text.{split}").read_text().splitlines()
        assert text == [f"{f['id']} {f['text']}" for f in mine]
        for f in mine:
            assert f["id"].startswith(f["speaker"]) and f["voice"] in settings[split]["voices"]
            assert settings["words_min"] <= len(f["text"].split()) <= settings["words_max"]
            assert f["snr"] in settings["snrs"] and f["noise"] in settings["noises"]
            with wave.open(str(corpus / f["wav"])) as file:
                assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            assert len(samples) == round(f["seconds"] * 16000) and np.abs(samples).max() < 32767
            times = np.array(f["times"])
            assert times.shape == (len(f["text"].split()), 2) and (np.diff(times.ravel()) >= 0).all()
            assert times[0, 0] > 0 and times[-1, 1] < f["seconds"] and (times[:, 1] - times[:, 0]).min() > 0.05
        speakers[split] = {f["speaker"] for f in mine}
    assert not speakers["train"] & speakers["dev"] and not (speakers["train"] | speakers["dev"]) & speakers["test"]
    assert {f["noise"] for f in facts} == {"white", "pink", "babble"}


def test_default_sets_share_no_timbre():
    config = SyntheticConfig()
    check(config)
    timbres = [{v.split("+")[1] for v in s.voices} for s in config.splits().values()]
    assert not timbres[0] & timbres[1] and not (timbres[0] | timbres[1]) & timbres[2]


def test_lexicon_has_every_word_and_is_sorted(corpus):
    lines = (corpus / "lexicon.txt").read_text().splitlines()
    assert lines == sorted(lines) == lexicon_text().splitlines() and len(set(lines)) == len(lines)
    words = {line.split()[0] for line in lines}
    assert words == set(LEXICON) and set(SPOKEN) <= words
    rng = np.random.default_rng(0)
    seen = set()
    for i in range(2000):
        sentence = draw_sentence(rng, 1 + i % 5, 0.5)
        assert len(sentence) == 1 + i % 5
        seen.update(sentence)
    assert seen == words


def test_eight_kilohertz():
    config = small_config(sampling_rate=8000)
    samples, facts = synthesize_utterance(config, "dev", 1, speak_talkers(config, "dev"))
    assert len(samples) == round(facts["seconds"] * 8000)
    wide = small_config()
    other = synthesize_utterance(wide, "dev", 1, speak_talkers(wide, "dev"))[1]
    assert (facts["text"], facts["voice"]) == (other["text"], other["voice"])
    assert facts["seconds"] == pytest.approx(other["seconds"], abs=0.01)


def test_noise_has_the_stated_power_and_colour():
    rng = np.random.default_rng(3)
    n = 1 << 17
    talkers = [rng.standard_normal(5000) * 10**i for i in range(3)]
    white, pink, babble = white_noise(rng, n), pink_noise(rng, n, 16000), babble_noise(rng, n, talkers)
    for noise in (white, pink, babble):
        assert np.mean(noise**2) == pytest.approx(1.0, rel=0.02)

    def band(noise, low):
        power = np.abs(np.fft.rfft(noise)) ** 2
        f = np.fft.rfftfreq(n, 1 / 16000)
        return power[(f >= low) & (f < 2 * low)].sum()

    # An octave of pink noise has the power of the next; of white noise half of it.
    assert band(pink, 500) / band(pink, 2000) == pytest.approx(1.0, rel=0.1)
    assert band(white, 500) / band(white, 2000) == pytest.approx(0.25, rel=0.1)
    speech = np.sin(np.arange(n)) * 0.1
    power = np.mean(speech**2)
    added = add_noise(speech, white, 10.0, power) - speech
    assert 10 * np.log10(power / np.mean(added**2)) == pytest.approx(10.0, abs=0.1)


def test_a_corpus_is_left_alone_replaced_or_refused(tmp_path, monkeypatch):
    config = tiny_config()
    output = tmp_path / "corpus"

    def full_disk():
        raise OSError(28, "No space left on device")

    (tmp_path / "disk").mkdir()
    output.symlink_to("disk/corpus")
    assert synthesize_corpus(config, output, 1)
    assert not synthesize_corpus(config, output, 1)
    before = tree_hash(output)
    next(output.rglob("*.wav")).unlink()
    assert synthesize_corpus(config, output, 1) and tree_hash(output) == before
    config.snrs = [3.0]
    with monkeypatch.context() as patch:  # an error on the way leaves the old one
        patch.setattr("asrpar.corpus.synthetic.corpus.lexicon_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            synthesize_corpus(config, output, 1)
    assert tree_hash(output) == before
    assert synthesize_corpus(config, output, 1) and tree_hash(output) != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="not a synthetic corpus"):
        synthesize_corpus(config, tmp_path / "mine", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "disk", "mine"]
    assert output.is_symlink() and [p.name for p in (tmp_path / "disk").iterdir()] == ["corpus"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampling_rate": 11025}, "sampling_rate is 11025: it must be 8000 or 16000"),
        ({"words_min": 6}, "words_min"),
        ({"snrs": []}, "snrs is \\[\\]"),
        ({"noises": ["brown"]}, "noises 'brown' is unknown; known: white"),
        ({"rates": [1000]}, "80 to 450"),
        ({"pitches": [-1]}, "0 to 100"),
        ({"levels": [6.0]}, "below full scale"),
        ({"digits_share": 1.5}, "digits_share is 1.5"),
        ({"padding_min": 1.0}, "padding_min"),
        ({"seed": -1}, "seed"),
        ({"dev": SplitConfig(0, ["en-us+m1"])}, "dev.utterances"),
        ({"dev": SplitConfig(5, [])}, "dev.voices is \\[\\]"),
        ({"test": SplitConfig(5, ["en-us+m1"])}, "test.voices: voice 'en-us\\+m1' is in train already"),
    ],
)
def test_impossible_settings(change, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        synthesize_corpus(SyntheticConfig(**change), tmp_path / "corpus", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("voice", "message"),
    [("en-us+m99", "no variant 'm99'"), ("xx-klingon+m1", "no accent 'xx-klingon'"), ("+m1", "no accent ''")],
)
def test_unknown_voices(voice, message, tmp_path):
    config = SyntheticConfig(dev=SplitConfig(1, [voice]))
    with pytest.raises(DataError, match=message):
        synthesize_corpus(config, tmp_path / "corpus", 1)


def test_espeak_is_missing_or_broken(monkeypatch, tmp_path):
    import espeakng_loader

    fake = tmp_path / "libespeak-ng.so"
    fake.write_text("not a library")
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(fake))
    with pytest.raises(DataError, match="does not load"):
        espeak.version()
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(tmp_path))
    with pytest.raises(DataError, match="incomplete"):
        espeak.version()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(DataError, match="pip install espeakng-loader"):
        espeak.version()


def test_a_crash_of_espeak_is_one_error(tmp_path):
    import espeakng_loader

    # A copy of the package with a damaged table, on which the library ends by a segmentation fault.
    package = tmp_path / "espeakng_loader"
    package.mkdir()
    for path in Path(espeakng_loader.__file__).parent.iterdir():
        if path.name not in ("espeak-ng-data", "__pycache__"):
            (package / path.name).symlink_to(path)
    data = package / "espeak-ng-data"
    data.mkdir()
    for path in Path(espeakng_loader.get_data_path()).iterdir():
        (data / path.name).symlink_to(path)
    (data / "phontab").unlink()
    (data / "phontab").write_bytes(b"\x07" * 40)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "asrpar", "synthesize", "--output", str(tmp_path / "corpus"), "--jobs", "1"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and not (tmp_path / "corpus").exists()
    # The corpus's first sign of life may come before the crash; nothing else is said.
    lines = [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")]
    assert len(lines) == 1 and lines[0].startswith("asrpar: error: espeak-ng")


def test_a_library_that_stays_loaded_is_refused():
    import _ctypes
    import ctypes

    import espeakng_loader

    held = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        with pytest.raises(DataError, match="process of its own"):
            espeak.speak("one", "en-us", rate=160, pitch=50, seed=1)
    finally:
        _ctypes.dlclose(held._handle)
    espeak.speak("one", "en-us", rate=160, pitch=50, seed=1)


def test_manifests_of_the_corpus(corpus, tmp_path):
    from lhotse import load_manifest

    write_manifests(tmp_path, mini_splits(corpus))
    assert check_paths([tmp_path], "manifests", Limits(sampling_rate=16000, read_audio=True))[1] == []
    cuts = load_manifest(tmp_path / "cuts_test.jsonl.gz")
    text = dict(line.split(maxsplit=1) for line in (corpus / "text.test").read_text().splitlines())
    assert [c.id for c in cuts] == sorted(text)
    for cut in cuts:
        (supervision,) = cut.supervisions
        assert supervision.id == cut.id and cut.id.startswith(supervision.speaker)
        assert supervision.text == text[cut.id]
    assert cuts[0].load_audio().shape == (1, cuts[0].num_samples)
    assert {s.speaker for c in cuts for s in c.supervisions} == {speaker_of(v) for v in SyntheticConfig().test.voices}


def test_manifests_of_a_damaged_corpus(corpus, tmp_path):
    import shutil

    with pytest.raises(MissingInputError, match="asrpar synthesize"):
        mini_splits(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    text = copy / "text.dev"
    text.write_text("".join(text.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(DataError, match="disagree"):
        mini_splits(copy)
    shutil.copy(corpus / "text.dev", text)
    wav = next((copy / "wav" / "train").rglob("*.wav"))
    wav.unlink()
    with pytest.raises(DataError, match=wav.name):
        mini_splits(copy)
    shutil.copy(corpus / wav.relative_to(copy), wav)
    (copy / "utterances.jsonl").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        mini_splits(copy)
