#!/usr/bin/env bash
# Switchboard-1 (300 hours), or with Fisher parts 1 and 2 (2,000 hours); Hub5'00 and RT03 scored by hubscr.pl.
#   ./run.sh --corpus-dir /corpora/ldc
#   ./run.sh --corpus-dir /corpora/ldc --loss frame_ce --model blstm --strategy hadpsgd --learners 8
#   ./run.sh --corpus-dir /corpora/ldc --size swb2000 --tests eval2000,rt03 --loss frame_ce --tree cd_32000 \
#     --config conf/zhang2019.yaml --model cui2020_blstm --strategy hadpsgd --learners 64
# Below --corpus-dir lie, under any names, LDC97S62, swb_ms98_transcriptions (openslr.org/resources/5), LDC2002S09 and
# LDC2002T43; for swb2000 LDC2004S13, LDC2004T19, LDC2005S13, LDC2005T19; for rt03 LDC2007S10. RESULTS.md has the figures.
set -euo pipefail
# shellcheck source=utils/recipe.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
corpus_dir=             # folder above all that LDC has sent, and the transcripts of OpenSLR 5; needed
size=swb300             # swb300: Switchboard; swb2000: Fisher, too
tests=eval2000          # sets to decode and score besides dev: eval2000 (Hub5'00), or eval2000,rt03
dev_size=4000           # utterances of dev
partial=false           # true: the corpora are not whole, and their counts are not compared
feats_config=           # settings of the features, after conf/feats.yaml
cmudict=                # for swb2000, words that Switchboard's dictionary lacks; empty: download it
rescore_lm=own          # ARPA file to rescore lattices with; own: the 4-gram of conf/lang_4gram.yaml; none: do not
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
rescore=$rescore_lm
[[ $rescore != own && $rescore != none ]] || rescore_lm=''
[[ -z $feats_config || $feats_config == conf/* ]] || feats_config=$(absolute "$feats_config")
begin_recipe "$@"
big_lang=$data_dir/lang_4gram${lm:+_$lm}
[[ $rescore != own ]] || rescore_lm=$big_lang/lm.arpa
IFS=, read -r -a test_sets <<<"$tests"
declare -A corpus_of=([eval2000]=hub5 [rt03]=rt03)
for set in "${test_sets[@]}"; do
  [[ -n ${corpus_of[$set]:-} ]] || die "--tests $tests: expected eval2000, or eval2000,rt03"
done
[[ $size == swb300 || $size == swb2000 ]] || die "--size $size: expected swb300 or swb2000"
[[ -n $corpus_dir ]] || die "--corpus-dir is needed: LDC's corpora cannot be downloaded, docs/corpora.md says what to get"
cmudict=$(absolute "${cmudict:-download/cmudict/cmudict.dict}")
options=(--corpus-dir "$corpus_dir")
settings=(--config conf/corpus.yaml --set "size=$size" --set "dev_size=$dev_size")
[[ $size == swb300 ]] || settings+=(--set "cmudict=$cmudict")
local=$data_dir/local

if begin_stage 0 "corpora and dictionary"; then
  use_corpus swbd
  for set in "${test_sets[@]}"; do
    use_corpus "${corpus_of[$set]}"
  done
  [[ $size == swb300 || -f $cmudict ]] || asrpar download --corpus cmudict --output download >/dev/null
fi

# report_swbd.txt beside the manifests tells what was dropped or mended.
if begin_stage 1 "manifests"; then
  [[ $partial == false ]] || options+=(--partial)
  asrpar prepare-manifests swbd "${options[@]}" "${settings[@]}" --output "$data_dir/manifests"
  for set in "${test_sets[@]}"; do
    asrpar prepare-manifests "${corpus_of[$set]}" "${options[@]}" --output "$data_dir/manifests"
  done
  asrpar validate-data "$data_dir/manifests" --sampling-rate 8000
fi

if begin_stage 2 "features"; then
  extract_features train dev "${test_sets[@]}" ${feats_config:+--config "$feats_config"}
fi

# Models of Switchboard's and Fisher's texts are mixed with the weights that suit dev best.
if begin_stage 3 "language"; then
  need "$data_dir/manifests" 1 "manifests"
  asrpar prepare-dict swbd --corpus-dir "$corpus_dir" "${settings[@]}" --manifests "$data_dir/manifests" --output "$local"
  texts="'$local/lm_text/swbd.txt.gz'"
  [[ $size == swb300 ]] || texts+=", '$local/lm_text/fisher.txt.gz'"
  make_lang() { # OPTIONS: a folder of the language
    asrpar prepare-lang "$@" --set "unit_settings.phones.lexicon=$local/lexicon.txt" --set "lm.texts=[$texts]" \
      --set "lm.held_out=$local/lm_text/heldout.txt.gz" --manifests "$data_dir/manifests"
  }
  make_lang "${lang_options[@]}" --output "$lang_dir"
  [[ $rescore_lm != "$big_lang"/* ]] || make_lang "${lang_options[@]}" --config conf/lang_4gram.yaml --output "$big_lang"
fi

train_and_score dev "${test_sets[@]}" # stages 4 to 8
