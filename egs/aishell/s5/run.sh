#!/usr/bin/env bash
# AISHELL-1 (OpenSLR 33): 178 hours of read Mandarin, 400 speakers. CTC of characters, or hybrid models; CER.
# Hybrid models take the corpus's own lexicon; the measure is the character error rate (CER).
#   ./run.sh --corpus-dir /corpora/aishell --strategy bmuf --learners 4
#   ./run.sh --corpus-dir /corpora/aishell --strategy bmuf --learners 4 --loss frame_ce --model lstm
# --corpus-dir is the folder with data_aishell/ and resource_aishell/, whether the speakers' archives in it are unpacked
# or not. Stage 1 opens those that are not below DATA_DIR/manifests/audio, and compares the corpus with its counts.
# Units are characters; --units phones, the default of hybrid models: characters that the lexicon pronounces; --units words:
# the words of the transcripts, with its pronunciations. RESULTS.md has figures, and the commands that made them.
set -euo pipefail
# shellcheck source=utils/recipe.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
partial=false           # true: the folder holds a part of the corpus on purpose, so its counts are not compared
shared_speakers=false   # true: the part has speakers of train in dev and test, which then say little of others
feats_config=           # settings of the features, after conf/feats.yaml
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
# Characters have no states to be trained on; phones of the lexicon have.
[[ -n $units || ($loss != frame_ce && $loss != lfmmi) ]] || units=phones
begin_recipe "$@"
part=() shared=()
[[ $partial == false ]] || part=(--partial)
[[ $shared_speakers == false ]] || shared=(--allow-shared-speakers)

if begin_stage 0 "corpus and lexicon"; then
  use_corpus aishell
fi
corpus_dir=${corpus_dir:-$here/download}

if begin_stage 1 "manifests"; then
  asrpar prepare-manifests aishell --corpus-dir "$corpus_dir" --output "$data_dir/manifests" \
    ${part[@]+"${part[@]}"}
  asrpar validate-data "$data_dir/manifests" --sampling-rate 16000 ${shared[@]+"${shared[@]}"}
fi

if begin_stage 2 "features"; then
  extract_features train dev test ${feats_config:+--config "$feats_config"}
fi

# The language model sees the transcripts of train alone: the corpus's file has those of dev and test, too.
if begin_stage 3 "language"; then
  lexicon=$data_dir/local/lexicon.txt
  [[ -z $units ]] || asrpar prepare-dict aishell --corpus-dir "$corpus_dir" --manifests "$data_dir/manifests" \
    --output "$data_dir/local"
  asrpar prepare-lang "${lang_options[@]}" ${units:+--set "unit_settings.phones.lexicon=$lexicon"} \
    --manifests "$data_dir/manifests" --output "$lang_dir"
fi

train_and_score dev test # stages 4 to 8

# The same training without its average over time, which never touches it (Tian et al. 2017).
if [[ -e $exp/unaveraged.pt ]]; then
  suffix=${lm:+${lm}_}unaveraged
  if begin_stage 7 "decoding without the average over time"; then
    asrpar decode ${decode_config:+--config "$decode_config"} --exp "$exp" --model "$exp/unaveraged.pt" \
      --feats "$data_dir/feats" --graph "$graph_dir" --lang "$lang_dir" --dev dev --test test --suffix "$suffix"
  fi
  if begin_stage 8 "scores without the average over time"; then
    asrpar score --exp "$exp" --set dev,test --manifests "$data_dir/manifests" --suffix "$suffix"
  fi
fi
