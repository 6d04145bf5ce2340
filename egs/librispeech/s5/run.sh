#!/usr/bin/env bash
# LibriSpeech (OpenSLR 12): read books, 960 hours or some of its parts; lexicon and language models of OpenSLR 11.
#   ./run.sh --corpus-dir /corpora/librispeech --lm-dir /corpora/librispeech_lm --strategy bmuf --learners 8
#   ./run.sh --parts train-clean-100 --units sentencepiece
#   ./run.sh --loss frame_ce --model li2017_cldnn --config conf/train_li2017.yaml --strategy bmuf --learners 4
# egs/mini_librispeech is this with --corpus mini_librispeech and settings of its own. RESULTS.md has the figures.
set -euo pipefail
# shellcheck source=utils/recipe.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
corpus=librispeech      # or mini_librispeech
parts=                  # to train on, such as "train-clean-100 train-clean-360"; empty: all that there are
eval_parts=             # to decode; LM scale and beam are chosen on the first; default: all, dev-clean first
partial=false           # true: parts may lack utterances, whose number is compared otherwise
lm_dir=                 # lexicon and language models as distributed; empty: download those that are needed
rescore_lm=             # ARPA file to rescore lattices with; default: the published 4-gram; none: do not
cmudict=                # pronouncing dictionary in place of the published lexicon; mini_librispeech: empty: download it
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
wanted=() counting=() decoded=(dev test)
case $corpus in
  librispeech)
    read -r -a decoded <<<"${eval_parts:-dev-clean dev-other test-clean test-other}"
    [[ ${decoded[0]} == dev-* ]] || die "--eval-parts ${decoded[*]}: the first one must be dev-clean or dev-other"
    for part in ${parts:-train-clean-100 train-clean-360 train-other-500} "${decoded[@]}"; do
      wanted+=(--part "$part")
    done
    decoded=("${decoded[@]/-clean/}") # as manifests call them: dev and dev_other
    decoded=("${decoded[@]/-/_}")
    sets=("data.dev=${decoded[0]}" "${sets[@]}")
    [[ $partial == false ]] || counting=(--partial)
    lm_files=(lexicon 3-gram.pruned.3e-7)
    [[ $lm != own ]] || lm_files+=(text)
    [[ $units != sentencepiece ]] || lm_files+=(vocabulary)
    [[ -n $rescore_lm ]] || lm_files+=(4-gram)
    lm_home=$(absolute "${lm_dir:-$here/download/librispeech_lm}")
    rescore_lm=${rescore_lm:-$lm_home/4-gram.arpa.gz}
    ;;
  mini_librispeech)
    [[ -z $parts$eval_parts$lm_dir ]] || die "--parts, --eval-parts and --lm-dir are for --corpus librispeech"
    ;;
  *) die "--corpus $corpus: expected librispeech or mini_librispeech" ;;
esac
[[ $rescore_lm != none ]] || rescore_lm=''
[[ -z $cmudict ]] || cmudict=$(absolute "$cmudict")
begin_recipe "$@"

if begin_stage 0 "corpus and dictionary"; then
  use_corpus "$corpus" "${wanted[@]}"
  if [[ $corpus == mini_librispeech ]]; then
    [[ -n $cmudict ]] || asrpar download --corpus cmudict --output "$here/download" >/dev/null
  elif [[ -n $lm_dir ]]; then
    asrpar download --corpus librispeech_lm --corpus-dir "$lm_home" >/dev/null
  else
    asrpar download --corpus librispeech_lm --output "$here/download" "${lm_files[@]/#/--part=}" >/dev/null
  fi
fi
corpus_dir=${corpus_dir:-$here/download}
[[ $corpus == librispeech ]] || cmudict=${cmudict:-$here/download/cmudict/cmudict.dict}

if begin_stage 1 "manifests"; then
  asrpar prepare-manifests "$corpus" --corpus-dir "$corpus_dir" --output "$data_dir/manifests" "${wanted[@]}" \
    "${counting[@]}"
  asrpar validate-data "$data_dir/manifests" --sampling-rate 16000
fi

if begin_stage 2 "features"; then
  extract_features train "${decoded[@]}"
fi

# What becomes of words without pronunciation, conf/lang.yaml says.
if begin_stage 3 "language"; then
  [[ -z $cmudict ]] || need "$cmudict" 0 "the pronouncing dictionary"
  asrpar prepare-lang "${lang_options[@]}" ${cmudict:+--set "unit_settings.phones.lexicon=$cmudict"} \
    ${lm_home:+--corpus-dir "$lm_home"} --manifests "$data_dir/manifests" --output "$lang_dir"
fi

train_and_score "${decoded[@]}" # stages 4 to 8
