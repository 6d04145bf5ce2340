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
parts=                  # to train on, such as "train-clean-100 train-clean-360"; empty: all that corpus has
eval_parts=             # to decode, of which the first is to choose the LM scale on; empty: dev-clean dev-other test-clean test-other
partial=false           # true: parts may lack utterances, whose number is checked otherwise
lm_dir=                 # lexicon and language models as distributed; empty: download those that are needed
cmudict=                # pronouncing dictionary; of mini_librispeech, empty: download it; else in place of the published lexicon
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
what=() whole=() sets_to_decode=(dev test)
case $corpus in
  librispeech)
    read -r -a evaluated <<<"${eval_parts:-dev-clean dev-other test-clean test-other}"
    [[ ${evaluated[0]} == dev-* ]] || die "--eval-parts ${evaluated[0]}: the first must be one to choose on, dev-clean or dev-other"
    for part in ${parts:-train-clean-100 train-clean-360 train-other-500} "${evaluated[@]}"; do
      what+=(--part "$part")
    done
    # Manifests call dev-clean dev, and dev-other dev_other.
    sets_to_decode=("${evaluated[@]/-clean/}") && sets_to_decode=("${sets_to_decode[@]/-/_}")
    [[ $partial == true ]] || whole=(--complete)
    lm_dir=$(absolute "${lm_dir:-$here/download/librispeech_lm}")
    case $rescore_lm in
      '') rescore_lm=$lm_dir/4-gram.arpa.gz ;;
      none) rescore_lm='' ;;
    esac
    ;;
  mini_librispeech) [[ -z $parts$eval_parts ]] || die "--parts and --eval-parts are of librispeech; $corpus has train-clean-5 and dev-clean-2" ;;
  *) die "--corpus $corpus: expected librispeech or mini_librispeech" ;;
esac
begin_recipe "$@"
[[ -z $cmudict ]] || cmudict=$(absolute "$cmudict")

if begin_stage 0 "corpus, lexicon and language models"; then
  use_corpus "$corpus" "${what[@]}"
  if [[ $corpus == librispeech ]]; then
    use_language_models
  elif [[ -z $cmudict ]]; then
    asrpar download --corpus cmudict --output "$here/download" >/dev/null
  fi
fi
corpus_dir=${corpus_dir:-$here/download}
[[ $corpus == librispeech ]] || cmudict=${cmudict:-$here/download/cmudict/cmudict.dict}

if begin_stage 1 "manifests"; then
  asrpar prepare-manifests "$corpus" --corpus-dir "$corpus_dir" --output "$data_dir/manifests" "${what[@]}" "${whole[@]}"
  asrpar validate-data "$data_dir/manifests" --sampling-rate 16000
fi

if begin_stage 2 "features"; then
  asrpar extract-features --config conf/feats.yaml --manifests "$data_dir/manifests" --output "$data_dir/feats"
fi

# Training words without pronunciation become <UNK>, as in Kaldi's recipe: see docs/corpora.md.
if begin_stage 3 "language"; then
  [[ -z $cmudict ]] || need "$cmudict" 0 "the pronouncing dictionary"
  asrpar prepare-lang "${lang_options[@]}" ${cmudict:+--set "unit_settings.phones.lexicon=$cmudict"} \
    ${lm_dir:+--corpus-dir "$lm_dir"} --manifests "$data_dir/manifests" --output "$lang_dir"
fi

train_and_score "${sets_to_decode[@]}" # stages 4 to 8
