#!/usr/bin/env bash
# yesno (OpenSLR 1): one speaker says YES or NO eight times in each of 60 recordings. The smallest real corpus.
#   ./run.sh --corpus-dir /corpora/yesno
# RESULTS.md has the figures, and the commands that made them.
set -euo pipefail
# shellcheck source=utils/recipe.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
begin_recipe "$@"

if begin_stage 0 "corpus"; then
  use_corpus yesno
fi
corpus_dir=${corpus_dir:-$here/download}

# One speaker in all sets: the corpus is so.
if begin_stage 1 "manifests"; then
  asrpar prepare-manifests yesno --corpus-dir "$corpus_dir" --output "$data_dir/manifests"
  asrpar validate-data "$data_dir/manifests" --sampling-rate 8000 --allow-shared-speakers
fi

if begin_stage 2 "features"; then
  extract_features train dev test
fi

# Two words of two and three phones, as in conf/lexicon.txt.
if begin_stage 3 "language"; then
  asrpar prepare-lang "${lang_options[@]}" --manifests "$data_dir/manifests" --output "$lang_dir"
fi

train_and_score dev test # stages 4 to 8
