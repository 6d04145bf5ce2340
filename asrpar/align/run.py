"""Stage 4 from its folders: align the sets of a FEATS folder, and write an ALI folder."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from asrpar.align.config import AlignConfig
from asrpar.align.contract import Given, Method, Scorer
from asrpar.align.data import AlignSet
from asrpar.align.methods import METHODS
from asrpar.align.transitions import TransitionCounts
from asrpar.align.viterbi import best_paths, phone_rows
from asrpar.choices import settle
from asrpar.errors import ConfigError, DataError
from asrpar.feats.store import FeatureStore
from asrpar.files.lock import reading
from asrpar.graph.utterance import UtteranceHmms
from asrpar.hmm.alignment_files import Aligned, SetWriter, check_output, writing_alignments
from asrpar.hmm.alignments import AlignmentInfo
from asrpar.hmm.segments import Segments
from asrpar.lang.lang import Lang
from asrpar.log import get_logger
from asrpar.train.identity import digest, summary

LOG = get_logger(__name__)
CACHE_MB = 2000


def align(given: Given, output: Path, sets: Sequence[str]) -> None:
    """Write an ALI folder.

    Args:
        given: settings, features, language, and a model where there is one.
        output: the folder; an older one is replaced when the new one is whole.
        sets: names; the first is the one to estimate on.

    Raises:
        ConfigError, DataError: settings or data that cannot be used, or an alignment that has gone wrong.
    """
    check_output(output)
    config, made = given.config, METHODS.load(given.config.method)
    if made.needs_exp != (given.exp is not None):
        needs = "needs a trained model: give --exp" if made.needs_exp else "starts from nothing: give no --exp"
        raise ConfigError(f"method={config.method} {needs}")
    with reading(given.feats):
        method: Method = METHODS.make(config, given)
        tree = method.tree()
        hmms = UtteranceHmms(given.lang, tree, config.silence)
        most = {name: config.max_left_out if name == sets[0] else 1.0 for name in sets}
        found = {name: _set(given, method, hmms, name, most[name], output) for name in sets}
        scorer = method.fit(found[sets[0]], hmms)
        shift = float(found[sets[0]].store.config.fbank.get("frame_shift", 0.01))
        settle(config)
        info = AlignmentInfo(config.method, shift, method.subsampling, lang_digest(given.lang), {}, asdict(config))
        counts = TransitionCounts(tree)
        with writing_alignments(output, tree, info) as out:
            for name, one in found.items():
                with out.split(name, summary(one.store.utterances)) as writer:
                    _write(writer, one, scorer, hmms, config, counts if name == sets[0] else None, shift)
            out.tree = tree.with_states(counts.states())
    aligned = ", ".join(f"{name} {facts['aligned']} of {facts['utterances']}" for name, facts in info.sets.items())
    LOG.info("%s: %d classes; utterances aligned: %s", output, tree.num_pdfs, aligned)


def _set(given: Given, method: Method, hmms: UtteranceHmms, name: str, max_left_out: float, output: Path) -> AlignSet:
    store = FeatureStore(given.feats, name, CACHE_MB, method.mean_std, method.inputs)
    one = AlignSet(store, hmms, method.subsampling)
    one.check(max_left_out, str(output / f"left_out_{name}.txt"))
    return one


def lang_digest(lang: Lang) -> str:
    """Of units and pronunciations."""
    return digest(list(lang.tokens), ([e.word, e.prob, list(e.tokens)] for e in lang.lexicon.entries))


def _write(
    writer: SetWriter,
    found: AlignSet,
    scorer: Scorer,
    hmms: UtteranceHmms,
    config: AlignConfig,
    counts: TransitionCounts | None,
    shift: float,
) -> None:
    """Align a set and write it, in the order of its features."""
    tree, words = hmms.tree, hmms.lang.split
    aligned: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    left_out = dict(found.left_out)
    for item, path in best_paths(found.store, found.items, scorer, tree.num_pdfs, config.max_frames):
        if path is None:
            left_out[item.utterance.id] = "no path: the scores of its frames are no numbers"
        else:
            aligned[item.index] = (item.hmm.net.pdfs[path].astype(np.int32), phone_rows(item.hmm, path))
    if not aligned:
        raise DataError(f"no utterance of {found.store.split} can be aligned")
    class_of = np.array([tree.class_of(pdf) for pdf in range(tree.num_pdfs)], np.uint8)
    silent = frames = 0
    for index in sorted(aligned):
        pdfs, rows = aligned[index]
        utterance = found.store.utterances[index]
        writer.add(
            Aligned(
                utterance.id, pdfs, rows, words(utterance.text), utterance.text, utterance.speaker,
                utterance.num_frames * shift,
            )
        )  # fmt: skip
        silent += int(rows[np.isin(rows[:, 0], tree.phones.silences), 1].sum())
        frames += len(pdfs)
        if counts is not None:
            counts.add(Segments(rows[:, 0], rows[:, 1], class_of[pdfs]))
    for utterance in found.store.utterances:
        if utterance.id in left_out:
            writer.leave_out(utterance.id, left_out[utterance.id])
    LOG.info("%s: %d utterances, %.1f %% silence", found.store.split, len(aligned), 100 * silent / frames)
    if silent > config.max_silence * frames:
        raise DataError(
            f"{100 * silent / frames:.0f} % of the frames of {found.store.split} are aligned to silence, max_silence "
            f"is {config.max_silence:g}: do transcripts and recordings belong together?"
        )
