"""Our counts against those of NIST's sclite, utterance by utterance."""

import random
import re
import subprocess

import pytest

from asrpar.score.align import align, count
from asrpar.score.trn import read_transcripts
from asrpar.score.wer import score


def sclite_counts(sclite, ref, hyp, *options):
    """(correct, sub, del, ins) of each utterance, case-sensitive."""
    command = [
        *sclite,
        "-s",
        *options,
        "-r",
        str(ref),
        "trn",
        "-h",
        str(hyp),
        "trn",
        "-i",
        "spu_id",
        "-o",
        "pralign",
        "stdout",
    ]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    ids = re.findall(r"^id: \((\S+)\)", out, re.M)
    counts = re.findall(r"^Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)", out, re.M)
    assert ids and len(ids) == len(counts)
    return {utt_id: tuple(map(int, c)) for utt_id, c in zip(ids, counts, strict=True)}


def ours(ref, hyp):
    c = count(align(ref, hyp))
    return c.ref - c.sub - c.dele, c.sub, c.dele, c.ins


def test_random_transcripts(sclite, tmp_path, write_trn):
    rng = random.Random(11)
    refs, hyps = {}, {}
    for i in range(1500):
        words = ["ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT"][: rng.randint(1, 8)]
        ref = [rng.choice(words) for _ in range(rng.randint(1, 30))]
        if i % 2:  # an edited copy, as a recogniser makes it; otherwise nonsense, where ties abound
            hyp = [w if rng.random() < 0.8 else rng.choice(words) for w in ref if rng.random() < 0.9]
            hyp += rng.choices(words, k=rng.randint(0, 2))
        else:
            hyp = [rng.choice(words) for _ in range(rng.randint(0, 30))]
        refs[f"spk{i % 7}-{i:04d}"], hyps[f"spk{i % 7}-{i:04d}"] = ref, hyp
    found = sclite_counts(sclite, write_trn(tmp_path / "ref.trn", refs), write_trn(tmp_path / "hyp.trn", hyps))
    assert {u: ours(refs[u], hyps[u]) for u in refs} == found


def network(rng, words, length, share, optional):
    """A transcript in which a share of the words are alternations, and of the words, if ``optional``, in brackets."""

    def word():
        found = rng.choice(words)
        return f"({found})" if optional and rng.random() < share else found

    def branch():
        return "@" if rng.random() < 0.25 else " ".join(word() for _ in range(rng.randint(1, 3)))

    def alternation():
        return "{ " + " / ".join(branch() for _ in range(rng.randint(1, 3))) + " }"

    return " ".join(alternation() if rng.random() < share else word() for _ in range(length))


@pytest.mark.parametrize("optional", [False, True])
def test_random_alternatives(sclite, tmp_path, optional):
    rng = random.Random(5)
    for side, share in (("ref", 0.25), ("hyp", 0.1)):
        with (tmp_path / f"{side}.trn").open("w") as file:
            file.write(";; made by a test\n")
            for i in range(800):
                text = network(rng, "ABCDEFGH"[: 2 + i % 7], rng.randint(side == "ref", 9), share, optional)
                file.write(f"{text} (spk{i % 5}-{i:03d})\n")
    refs, hyps = (read_transcripts(tmp_path / f"{side}.trn", optional_words=optional) for side in ("ref", "hyp"))
    found = sclite_counts(sclite, tmp_path / "ref.trn", tmp_path / "hyp.trn", *["-D"] * optional)
    assert {u: ours(refs[u], hyps[u]) for u in refs} == found


@pytest.mark.corpora
@pytest.mark.parametrize("name", ["csrnab", "csrnab1"])
@pytest.mark.parametrize("fold_case", [False, True])
def test_real_transcripts(sclite, corpora, tmp_path, write_trn, name, fold_case):
    sides = {}
    for side in ("ref", "hyp"):
        text = (corpora / "hub5_formats" / f"{name}.{side}").read_text()
        text = re.sub(r"\((\S+)\)$", lambda m: m[0].lower(), text, flags=re.M)
        (tmp_path / f"{side}.trn").write_text(text.lower() if fold_case else text)
        sides[side] = read_transcripts(tmp_path / f"{side}.trn")
    refs, hyps = sides["ref"], sides["hyp"]
    assert refs and set(refs) == set(hyps)
    found = sclite_counts(sclite, tmp_path / "ref.trn", tmp_path / "hyp.trn")
    assert {u: ours(refs[u], hyps[u]) for u in refs} == found
    total = score(refs, hyps).total
    assert (total.sub, total.dele, total.ins) == tuple(sum(c[k] for c in found.values()) for k in (1, 2, 3))
