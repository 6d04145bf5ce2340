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
  extract_features train dev test
fi

# The lexicon is the corpus's; the LM sees training transcripts only.
if begin_stage 3 "language"; then
  asrpar prepare-lang "${lang_options[@]}" --manifests "$data_dir/manifests" --corpus-dir "$corpus_dir" \
    --output "$lang_dir"
fi

train_and_score dev test # stages 4 to 8
