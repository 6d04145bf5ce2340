"""Mistakes of stages 0 to 5 for ``test_bad_input.py``: corpora, manifests, features, languages and graphs."""

from bad_input import Case
from mistakes import (
    be_a_command,
    cut_off,
    edit,
    empty,
    export_kaldi,
    graph,
    halve,
    import_kaldi,
    lose_audio,
    manifests,
    mute,
    short_arpa,
    spoilt,
    synthesize,
    unlink,
    without_last_line,
)

DATA_CASES = [
    # Stage 0
    Case(
        "download-unknown-corpus",
        r"corpus 'an5' is unknown; did you mean 'an4",
        lambda w: ["download", "--corpus", "an5"],
    ),
    Case(
        "download-to-nowhere",
        r"download yesno: name the folder with --out",
        lambda w: ["download", "--corpus", "yesno"],
    ),
    Case(
        "download-unknown-part",
        r"yesno has no part 'dev'",
        lambda w: ["download", "--corpus", "yesno", "--part", "dev", "--output", w.out],
    ),
    Case(
        "corpus-folder-missing",
        r"--corpus-dir nowhere: no such folder",
        lambda w: ["download", "--corpus", "an4", "--corpus-dir", "nowhere"],
    ),
    Case(
        "corpus-folder-of-another",
        r"corpus does not hold the yesno corpus: no folder waves_yesno/",
        lambda w: ["download", "--corpus", "yesno", "--corpus-dir", w.corpus],
    ),
    Case(
        "download-unwritable",
        r"file/out",
        lambda w: ["download", "--corpus", "yesno", "--output", w.blocked()],
    ),
    Case("synthesize-bad-rate", r"sampling_rate.*44100", lambda w: synthesize(w, "sampling_rate=44100")),
    Case(
        "synthesize-empty-set",
        r"train\.utterances is 0: it must be at least 1",
        lambda w: synthesize(w, "train.utterances=0"),
    ),
    Case("synthesize-unknown-voice", r"voice 'en-us\+nobody'", lambda w: synthesize(w, "dev.voices=[en-us+nobody]")),
    Case("synthesize-shared-voice", r"voice 'en-us\+m1' is in train", lambda w: synthesize(w, "dev.voices=[en-us+m1]")),
    Case("synthesize-over-others", r"out exists and is not", lambda w: (w.file("out/thesis.txt"), synthesize(w))[1]),
    Case(
        "synthesize-full-disk", r"File too large: .*/out", lambda w: synthesize(w, "train.utterances=4"), file_size=8192
    ),
    # Stage 1
    Case("manifests-no-corpus-folder", r"nowhere: no such folder; stage 0", lambda w: manifests(w, "mini", "nowhere")),
    Case("manifests-no-audio", r"cmudict has no audio", lambda w: manifests(w, "cmudict", w.corpus)),
    Case("manifests-wav-gone", r"no audio file .*\.wav", lambda w: manifests(w, "mini", spoilt(w, unlink))),
    Case("manifests-wav-rate", r"not 16000 Hz mono.*\.wav \(8000 Hz", lambda w: manifests(w, "mini", spoilt(w, halve))),
    Case("manifests-unwritable", r"file/out", lambda w: manifests(w, "mini", w.corpus, w.blocked())),
    Case("manifests-full-disk", r"File too large: .*/out/", lambda w: manifests(w, "mini", w.corpus), file_size=100),
    # Kaldi folders in and out
    Case(
        "kaldi-unsorted",
        r"text:2: unsorted: 'a-1' comes",
        lambda w: import_kaldi(w, w.kaldi(text="b-1 X\na-1 X\n")),
    ),
    Case(
        "kaldi-byte-order-mark",
        r": 1 problem: text:1: begins with a byte-order mark",
        lambda w: import_kaldi(w, w.kaldi(text="\ufeffa-1 X\nb-1 X\n")),
    ),
    Case(
        "kaldi-pipe",
        r"wav\.scp.*'a-1' is a command.*--allow-pipes",
        lambda w: import_kaldi(w, w.kaldi(wav_scp="a-1 touch ran |\nb-1 touch ran |\n")),
    ),
    Case(
        "kaldi-pipe-fails",
        r"wav\.scp: .*'a-1': the command 'exit 3' ended with 3",
        lambda w: [*import_kaldi(w, w.kaldi(wav_scp="a-1 exit 3 |\nb-1 exit 3 |\n")), "--allow-pipes"],
    ),
    Case(
        "export-damaged-manifest",
        r"supervisions_dev\.jsonl\.gz",
        lambda w: (cut_off(w.copy("manifests") / "supervisions_dev.jsonl.gz"), export_kaldi(w, "dev"))[1],
    ),
    Case("export-no-features", r"nowhere/cuts_dev", lambda w: [*export_kaldi(w, "dev"), "--features", "nowhere"]),
    # Checking data
    Case("validate-no-folder", r"no folder nowhere to check", lambda w: ["validate-data", "nowhere"]),
    Case("validate-not-data", r"manifests", lambda w: ["validate-data", w.file("x/y").parent]),
    Case(
        "validate-kaldi",
        r"text:2: .*sort(.|\n)*utt2spk:3: (.|\n)*[3-9] errors",
        lambda w: ["validate-data", w.kaldi(text="b-1 X\na-1 X\n", utt2spk="a-1 a\nb-1 b\nc-1 c\n")],
        lists=True,
    ),
    Case(
        "validate-sampling-rate",
        r"16000 Hz.*8000(.|\n)*errors",
        lambda w: ["validate-data", w.manifests, "--sampling-rate", 8000],
        lists=True,
    ),
    Case(
        "validate-damaged-manifest",
        r"cuts_dev\.jsonl\.gz:\d(.|\n)*3 errors",
        lambda w: ["validate-data", cut_off(w.copy("manifests") / "cuts_dev.jsonl.gz").parent],
        lists=True,
    ),
    # Stage 2
    Case("features-before-stage-1", r"cuts_train.* is missing: run stage 1", lambda w: w.features(manifests=w.here)),
    Case("features-twice", r"--splits 'train,train'", lambda w: w.features("--splits", "train,train")),
    Case(
        "features-wrong-rate",
        r"recording \S+ of split train has 16000 Hz, expected 8000 Hz",
        lambda w: w.features("--set", "fbank.sampling_rate=8000"),
    ),
    Case(
        "features-damaged-manifest",
        r"cuts_train\.jsonl\.gz is not a readable cut manifest",
        lambda w: w.features(manifests=cut_off(w.copy("manifests") / "cuts_train.jsonl.gz").parent),
    ),
    Case(
        "features-audio-gone",
        r"4 of 4 utterances of split train cannot be used.*report\.txt",
        lambda w: w.features(manifests=edit(w.copy("manifests") / "cuts_train.jsonl.gz", lose_audio).parent),
    ),
    Case(
        "features-command-as-audio",
        r"cuts_train.*: its source is a command \('echo'\), and commands from data are not run",
        lambda w: w.features(manifests=edit(w.copy("manifests") / "cuts_train.jsonl.gz", be_a_command).parent),
    ),
    Case(
        "features-dither-of-kaldi",
        r"fbank\.dither 1 is in Kaldi's units.*write 3\.05e-05",
        lambda w: w.features("--set", "fbank.dither=1.0"),
    ),
    Case("features-full-disk", r"File too large: .*/out/", lambda w: w.features(), file_size=8192),
    # Stage 3
    Case(
        "lang-no-lexicon",
        r"phones\.lexicon: no file .*x\.txt",
        lambda w: w.lang_of(phones__lexicon="x.txt"),
    ),
    Case(
        "lang-word-without-pronunciation",
        r"\d+ words have no pronunciation: .*SEVEN.*oov\.policy",
        lambda w: w.lang_of(phones__lexicon=w.file("l.txt", "DOOR D AO R\n")),
    ),
    Case(
        "lang-lexicon-no-units", r"l\.txt:2: .*'B'", lambda w: w.lang_of(phones__lexicon=w.file("l.txt", "A AH\nB\n"))
    ),
    Case(
        "lang-lexicon-probability",
        r"l\.txt:1: .* 7 is not in \(0, 1\]",
        lambda w: w.lang_of(phones__lexicon=w.file("l.txt", "A 7 AH\n"), phones__format="lexiconp"),
    ),
    Case(
        "lang-lexicon-binary", r"l\.txt is not UTF-8", lambda w: w.lang_of(phones__lexicon=w.file("l.txt", b"A \xff\n"))
    ),
    Case(
        "lang-lexicon-of-mfa",
        r"l\.txt:1: '0\.9' in the pronunciation of 'A' is a number, .*'mfa'",
        lambda w: w.lang_of(phones__lexicon=w.file("l.txt", "A 0.9 0.1 1.2 1.0 AH\n"), phones__format="cmudict"),
    ),
    Case(
        "lang-lexicon-utf-16",
        r"l\.txt is UTF-16 text: convert it",
        lambda w: w.lang_of(phones__lexicon=w.file("l.txt", "A AH\n".encode("utf-16"))),
    ),
    Case("lang-no-arpa", r"l\.arpa: no \\data\\", lambda w: w.lang_of(lm__arpa=w.file("l.arpa", "hello\n"))),
    Case(
        "lang-malformed-arpa",
        r"l\.arpa:4: not a number in 'x ONE'",
        lambda w: w.lang_of(lm__arpa=w.file("l.arpa", "\\data\\\nngram 1=1\n\\1-grams:\nx ONE\n\\end\\\n")),
    ),
    Case("lang-cut-off-arpa", r"l\.arpa:.*1-grams|l\.arpa: no", lambda w: w.lang_of(lm__arpa=short_arpa(w))),
    Case("lang-order", r"lm\.order is 9: it must lie between 1 and 5", lambda w: w.lang_of(lm__order=9)),
    Case("lang-units", r"units 'syllables' is unknown; known: ", lambda w: w.lang_of(units="syllables")),
    Case(
        "lang-old-key",
        r"--set lexicon\.path=x: 'lexicon\.path' is now 'unit_settings\.phones\.lexicon'",
        lambda w: w.lang_of("--set", "lexicon.path=x"),
    ),
    Case("lang-lm-of-test", r"lm\.splits: 'test' is not training text", lambda w: w.lang_of(lm__splits="[test]")),
    Case(
        "lang-empty-text",
        r"manifests: no words in the text of train",
        lambda w: [*w.lang_of(), "--manifests", edit(w.copy("manifests") / "supervisions_train.jsonl.gz", mute).parent],
    ),
    Case("lang-unwritable", r"file/out", lambda w: [*w.lang_of(), "--output", w.blocked()]),
    Case("lang-full-disk", r"File too large: .*/out/", lambda w: w.lang_of(), file_size=100),
    # Stage 5
    Case("graph-before-stage-3", r"is missing: run stage 3", lambda w: graph(w, w.here)),
    Case(
        "graph-lexicon-cut-short",
        r"lexicon\.txt is not as it was made: cut short, or changed\. Run stage 3",
        lambda w: graph(w, without_last_line(w.copy("lang") / "lexicon.txt").parent),
    ),
    Case("graph-bad-tokens", r"tokens\.txt:1: ", lambda w: graph(w, empty(w.copy("lang") / "tokens.txt", "x").parent)),
    Case(
        "graph-too-large",
        r"more than 10 states .*raise max_states",
        lambda w: graph(w, w.lang, "max_states=10"),
    ),
    Case("graph-full-disk", r"File too large: .*/out/HLG", lambda w: graph(w, w.lang), file_size=6500),
]
