#!/usr/bin/env bash
# Mini LibriSpeech (OpenSLR 31): read books, about 5 hours to train on. Phone CTC with cmudict, 3-gram LM, HLG decoding.
#   ./run.sh --corpus-dir /corpora/mini_librispeech --cmudict /corpora/cmudict/cmudict.dict --strategy bmuf
# Any tree of LibriSpeech will do that has train-clean-5 and dev-clean-2, also a part of it.
# RESULTS.md has the figures, and the commands that made them.
set -euo pipefail
# shellcheck source=utils/recipe.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
cmudict=                # pronouncing dictionary; empty: download it
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
begin_recipe "$@"
[[ -z $cmudict ]] || cmudict=$(absolute "$cmudict")

if begin_stage 0 "corpus and dictionary"; then
  use_corpus mini_librispeech
  [[ -n $cmudict ]] || asrpar download --corpus cmudict --output download >/dev/null
fi
corpus_dir=${corpus_dir:-$here/download}
cmudict=${cmudict:-$here/download/cmudict/cmudict.dict}

# The corpus has no test set: the speakers of dev-clean-2 are divided into dev and test.
if begin_stage 1 "manifests"; then
  asrpar prepare-manifests mini_librispeech --corpus-dir "$corpus_dir" --output "$data_dir/manifests"
  asrpar validate-data "$data_dir/manifests" --sampling-rate 16000
fi

if begin_stage 2 "features"; then
  extract_features train dev test
fi

if begin_stage 3 "language"; then
  need "$cmudict" 0 "the pronouncing dictionary"
  asrpar prepare-lang "${lang_options[@]}" --set "unit_settings.phones.lexicon=$cmudict" \
    --manifests "$data_dir/manifests" --output "$lang_dir"
fi

train_and_score dev test # stages 4 to 8
