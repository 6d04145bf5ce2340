# shellcheck shell=bash disable=SC2034
# The options of every recipe's run.sh, sourced by utils/recipe.sh. A recipe may declare others, or another default.
stage=0                 # first stage to run
stop_stage=100          # last stage to run
corpus_dir=             # the corpus as distributed; empty: download it
exp_dir=${here:?}/exp      # everything that this run makes goes here
data_dir=               # manifests, features, language and graph; default EXP_DIR/data
model=                  # acoustic model: a file of conf/models, or a name (asrpar help settings models); default that of --config
loss=                   # what it is trained towards: a file of conf/losses, or a name; default that of --config
tree=                   # of hybrid models (--loss frame_ce): a file of conf/trees, default cd; mono: no contexts
units=                  # what models tell apart: a file of conf/units, after conf/lang.yaml; data go to lang_UNITS and so on
lm=                     # another language model: conf/lang_LM.yaml after conf/lang.yaml; results then go to decode_SET_LM
rescore_lm=             # ARPA file of a larger language model: stage 7 rescores lattices with it, into decode_SET[_LM]_rescored
strategy=ssgd           # parallel algorithm, see docs/parallel.md; conf/strategies/STRATEGY.yaml has its settings
learners=2              # MPI ranks
oversubscribe=false     # true: more than two learners a core
feats_parts=            # jobs of an array that stage 2 is divided into, which feats_cmd of cmd.sh starts; empty: none
decode_parts=           # likewise of stage 7, after one job for the dev set; decode_cmd
config=conf/train.yaml  # settings of the training, before those of the model, loss and strategy
decode_config=          # settings of the decoding, and the LM scales and beams to choose from; default conf/decode.yaml, for CTC
name=                   # of the experiment; default [MODEL_][LOSS_]STRATEGY_nLEARNERS_seedSEED
sets=()                 # override one setting of the training, such as seed=3; may be repeated
