#!/usr/bin/env bash
# The embedded corpus: connected digits and short commands that espeak-ng speaks in several voices, with noise.
# Train, dev and test have different voices. It needs no download, and is what `make demo` and the tests run.
# RESULTS.md has the figures, and the commands that made them.
set -euo pipefail
# shellcheck source=utils/recipe.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
corpus_dir=             # where the corpus is, or will be spoken; default DATA_DIR/corpus
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
begin_recipe "$@"
corpus_dir=${corpus_dir:-$data_dir/corpus}

if begin_stage 0 "corpus"; then
  asrpar synthesize --config conf/corpus.yaml --output "$corpus_dir"
fi

if begin_stage 1 "manifests"; then
  asrpar prepare-manifests mini --corpus-dir "$corpus_dir" --output "$data_dir/manifests"
  asrpar validate-data "$data_dir/manifests" --sampling-rate 16000
fi

if begin_stage 2 "features"; then
  extract_features train dev test
fi

if begin_stage 3 "language"; then
  asrpar prepare-lang "${lang_options[@]}" --manifests "$data_dir/manifests" --corpus-dir "$corpus_dir" \
    --output "$lang_dir"
fi

train_and_score dev test # stages 4 to 8
