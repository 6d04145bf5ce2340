#!/usr/bin/env bash
# CMU AN4: 48 minutes of spelled names, numbers and commands. Phone CTC, 4-gram LM, HLG decoding.
#   ./run.sh --corpus-dir /corpora/an4 --strategy bmuf --learners 2
# RESULTS.md has the figures, and the commands that made them.
set -euo pipefail
# shellcheck source=utils/recipe.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
begin_recipe "$@"

if begin_stage 0 "corpus"; then
  use_corpus an4
fi
corpus_dir=${corpus_dir:-$here/download/an4}

# Dev is the first 100 training utterances by id: nothing is tuned on test.
if begin_stage 1 "manifests"; then
  asrpar prepare-manifests an4 --corpus-dir "$corpus_dir" --output "$data_dir/manifests"
  asrpar validate-data "$data_dir/manifests" --sampling-rate 16000
fi

if begin_stage 2 "features"; then
  asrpar extract-features --config conf/feats.yaml --manifests "$data_dir/manifests" --output "$data_dir/feats"
fi

# The lexicon is the corpus's; the LM sees training transcripts only.
if begin_stage 3 "language"; then
  asrpar prepare-lang --config conf/lang.yaml --manifests "$data_dir/manifests" --corpus-dir "$corpus_dir" \
    --output "$data_dir/lang"
fi

if begin_stage 4 "alignment and tree"; then
  no_alignment
fi

if begin_stage 5 "decoding graph"; then
  asrpar make-graph --lang "$data_dir/lang" --output "$data_dir/graph"
fi

if begin_stage 6 "training, $strategy on $learners learner(s)"; then
  train_model
fi

if begin_stage 7 "decoding"; then
  decode_sets dev test
fi

if begin_stage 8 "scores"; then
  score_sets dev test
fi
end_recipe test
