#!/usr/bin/env bash
# yesno (OpenSLR 1): one speaker says YES or NO eight times in each of 60 recordings. The smallest real corpus.
#   ./run.sh --corpus-dir /corpora/yesno
# RESULTS.md has the figures, and the commands that made them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

stage=0                 # first stage to run
stop_stage=100          # last stage to run
corpus_dir=             # the corpus as distributed; empty: download it
exp_dir=$here/exp       # everything that this run makes goes here
data_dir=               # manifests, features, language and graph; default EXP_DIR/data
strategy=ssgd           # parallel algorithm, see docs/parallel.md
learners=2              # MPI ranks
oversubscribe=false     # true: more than two learners a core
config=conf/train.yaml  # settings of the training; conf/strategies/STRATEGY.yaml is read after it
decode_config=conf/decode.yaml  # settings of the decoding, and the LM scales and beams to choose from
name=                   # of the experiment; default STRATEGY_nLEARNERS_seedSEED
sets=()                 # override one setting of the training, such as seed=3; may be repeated
help_message="Usage: $0 [options]
Stages: 0 corpus, 1 manifests, 2 features, 3 language, 4 alignment and tree, 5 graph, 6 training, 7 decoding, 8 scores"
# shellcheck source=egs/yesno/s5/path.sh
. "$here/path.sh"
# shellcheck source=utils/recipe.sh
. "$root/utils/recipe.sh"
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"
# shellcheck source=egs/yesno/s5/cmd.sh
. "$here/cmd.sh"
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
  asrpar extract-features --config conf/feats.yaml --manifests "$data_dir/manifests" --output "$data_dir/feats"
fi

# Two words of two and three phones, as in conf/lexicon.txt.
if begin_stage 3 "language"; then
  asrpar prepare-lang --config conf/lang.yaml --manifests "$data_dir/manifests" --output "$data_dir/lang"
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
