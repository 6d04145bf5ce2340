"""The matched-pairs test against that of SCTK's sc_stats, which is run on sclite's own alignments."""

import random
import re

import pytest

from asrpar.score.align import GAP
from asrpar.score.mapsswe import matched_pairs, segment_errors
from asrpar.score.sctk.sgml import read_sgml


def pairs(text):
    """``a b/c -d +e``: right, substituted, deleted, inserted."""
    made = {"-": lambda w: (w[1:], GAP), "+": lambda w: (GAP, w[1:])}
    return [made.get(w[0], lambda w: (w.split("/")[0], w.split("/")[-1]))(w) for w in text.split()]


@pytest.mark.parametrize(
    ("a", "b", "segments"),
    [
        ("a b c d", "a b c d", []),
        ("a b/x c d e", "a b c d e", [(1, 0)]),
        # Two words that both have right part two segments; one does not.
        ("a b/x c d e f g", "a b c d e f/y g", [(1, 0), (0, 1)]),
        ("a b/x c d/x e f g", "a b c d e f/y g", [(2, 1)]),
        ("a +x b c d", "a b c d -e", [(1, 0), (0, 1)]),
        ("a b", "a b +x", [(0, 1)]),
        ("+x", "", [(1, 0)]),
        ("", "", []),
    ],
)
def test_segments(a, b, segments):
    if b.endswith("-e"):
        a += " e"
    assert segment_errors(pairs(a), pairs(b)) == segments


def test_systems_that_do_not_differ():
    same = [(pairs("a b/x c d"), pairs("a b/y c d"))] * 5
    test = matched_pairs(same)
    assert (test.segments, test.mean, test.z, test.significant) == (5, 0.0, 0.0, False) and test.p == 1.0
    assert matched_pairs([]).p == 1.0
    # All differences equal: sc_stats has no Z either.
    assert matched_pairs([(pairs("a b/x c"), pairs("a b c"))] * 5).z == 0.0


def test_a_known_z():
    # Differences 1, 1, 0: mean 0.667, deviation 0.577, Z 2.
    test = matched_pairs([(pairs("a/x"), pairs("a")), (pairs("a/x"), pairs("a")), (pairs("a/x"), pairs("a/y"))])
    assert (test.mean, test.deviation, test.z) == pytest.approx((2 / 3, 0.57735, 2.0), abs=1e-5)
    assert test.significant and test.p == pytest.approx(0.0455, abs=1e-4)


def transcripts(rng, refs, right):
    """Hypotheses of a recogniser that is right so often."""
    for words in refs:
        heard = [w if rng.random() < right else rng.choice("ABCDEFGH") for w in words if rng.random() < (1 + right) / 2]
        yield [w for word in heard for w in ([word, "X"] if rng.random() < (1 - right) / 3 else [word])]


def test_as_sc_stats_does_it(sctk, tmp_path):
    found = {}
    for alternatives in (False, True):
        for quality in ((0.9, 0.7), (0.85, 0.85)):
            rng = random.Random(7)
            refs = [[rng.choice("ABCDEFGH") for _ in range(rng.randint(0, 20))] for _ in range(150)]
            shown = [
                [f"{{ {w} / {rng.choice('ABCDEFGH')} A }}" if alternatives and rng.random() < 0.1 else w for w in words]
                for words in refs
            ]
            files = {"ref": shown, **{f"sys{i}": list(transcripts(rng, refs, q)) for i, q in enumerate(quality)}}
            for name, texts in files.items():
                lines = [f"{' '.join(words)} (spk{i % 4}-{i:03d})\n" for i, words in enumerate(texts)]
                (tmp_path / f"{name}.trn").write_text("".join(lines))
            systems = []
            for name in ("sys0", "sys1"):
                files = ("-r", "ref.trn", "trn", "-h", f"{name}.trn", "trn", name, "-i", "spu_id", "-n", name)
                sctk.run("sclite", *files, "-s", "-f", "0", "-o", "sgml", cwd=tmp_path)
                systems.append((tmp_path / f"{name}.sgml").read_bytes())
            (tmp_path / "both").write_bytes(b"".join(systems))
            options = ("-p", "-t", "mapsswe", "-v", "-n", "out")
            sctk.run("sc_stats", *options, cwd=tmp_path, given=tmp_path / "both")
            told = (tmp_path / "out.stats.mapsswe").read_text()
            numbers = re.search(
                r"# segs: (\d+)\).*mean: (\S+)\) \(std dev: (\S+)\) \(Z Stat: (\S+)\) \(Stat Diff: (\w+)\)", told
            )
            a, b = ({s.segment_id: s.pairs for s in read_sgml(tmp_path / f"{name}.sgml")} for name in ("sys0", "sys1"))
            assert list(a) == list(b)
            test = matched_pairs((a[i], b[i]) for i in a)
            ours = (str(test.segments), f"{test.mean:.3f}", f"{test.deviation:.3f}", f"{test.z:.3f}")
            assert (*ours, "Yes" if test.significant else "No") == numbers.groups()
            found[alternatives, quality] = test.significant
    assert set(found.values()) == {True, False}
