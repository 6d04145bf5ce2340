import json

import numpy as np
import pytest
from minidata import asrpar


@pytest.fixture(scope="session")
def clean(tmp_path_factory):
    """Features and language of a synthetic corpus with two speakers and little noise."""
    folder = tmp_path_factory.mktemp("clean")
    corpus = ["train.utterances=40", "dev.utterances=4", "test.utterances=1", "train.voices=[en-us+m1,en-us+f1]"]
    corpus += ["noises=[white]", "snrs=[20]", "levels=[-20]", "words_max=4", "digits_share=1", "dev.voices=[en-us+m4]"]
    asrpar("synthesize", *(f"--set={x}" for x in corpus), "--output", folder / "corpus")
    asrpar("prepare-manifests", "mini", "--corpus-dir", folder / "corpus", "--output", folder / "manifests")
    features = ["--set=fbank.num_filters=40", "--set=speeds=[1.0,1.1]", "--jobs", 1]
    asrpar("extract-features", *features, "--manifests", folder / "manifests", "--output", folder / "feats")
    language = ["--set=unit_settings.phones.lexicon=lexicon.txt", "--set=lm.order=2", "--corpus-dir", folder / "corpus"]
    asrpar("prepare-lang", *language, "--manifests", folder / "manifests", "--output", folder / "lang")
    return folder


@pytest.fixture(scope="session")
def align(clean):
    """Align `clean` into ``output`` with more options, as a command of its own."""

    def run(output, *more, check=True):
        folders = ["--feats", clean / "feats", "--lang", clean / "lang", "--output", output]
        return asrpar("align", *folders, *more, check=check)

    return run


@pytest.fixture(scope="session")
def flat(align, tmp_path_factory):
    """The ALI folder of a flat start on `clean`."""
    output = tmp_path_factory.mktemp("flat") / "ali"
    align(output)
    return output


@pytest.fixture(scope="session")
def true_times(clean):
    """Begin and end of words by utterance."""
    lines = map(json.loads, (clean / "corpus" / "utterances.jsonl").read_text().splitlines())
    return {u["id"]: np.array(u["times"]) for u in lines}
