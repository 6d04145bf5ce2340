# shellcheck shell=bash
# What the recipes' run.sh share: options, names and places, and the stages that are the same for every corpus. A run.sh
# begins with
#
#     . "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
#     cmudict=                # options that it has besides those of utils/recipe_options.sh
#     . "$root/utils/parse_options.sh"
#     begin_recipe "$@"
#
# Sets: root, of this clone, and here, the recipe's folder.
here=$(cd "$(dirname "${BASH_SOURCE[1]:-$0}")" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # utils/parse_options.sh uses them
help_message="Usage: $0 [options]
Stages: 0 corpus, 1 manifests, 2 features, 3 language, 4 alignment and tree, 5 graph, 6 training, 7 decoding, 8 scores"
# shellcheck source=utils/common.sh
. "$root/utils/common.sh"
# shellcheck source=utils/recipe_options.sh
. "$root/utils/recipe_options.sh"
# shellcheck disable=SC2034 # utils/parse_options.sh uses them
option_files=("$root/utils/recipe_options.sh")

# begin_recipe "$@": after the options are parsed, with what is left. Finds the programs, makes paths absolute, enters
# the recipe's folder, names the experiment.
begin_recipe() {
  local item
  (($# == 0)) || die "'$1' is no option, and nothing behind it would be read: is a dash missing, or --set before it?"
  for item in ${sets[@]+"${sets[@]}"}; do
    case $item in
      strategy=* | model=* | loss=*) die "--set $item: give --${item%%=*} ${item#*=}" ;;
      exp=*) die "--set $item: give --exp-dir DIR, and --name for its folder there" ;;
      data.feats=* | data.lang=*) die "--set $item: give --data-dir DIR, which has feats and lang" ;;
    esac
  done
  # shellcheck source=utils/path.sh
  . "$root/utils/path.sh"
  # How the training stage is started. Empty: here, on the terminal. A recipe or site may have a cmd.sh that says so.
  train_cmd=${ASRPAR_TRAIN_CMD:-}
  # shellcheck source=/dev/null
  [[ ! -f $here/cmd.sh ]] || . "$here/cmd.sh"
  exp_dir=$(absolute "${exp_dir:?}")
  data_dir=$(absolute "${data_dir:-$exp_dir/data}")
  [[ -z ${corpus_dir:-} ]] || corpus_dir=$(absolute "$corpus_dir")
  [[ ${config:?} == conf/* ]] || config=$(absolute "$config")
  [[ ${decode_config:=conf/decode.yaml} == conf/* ]] || decode_config=$(absolute "$decode_config")
  cd "${here:?}" || exit 1
  for item in model loss strategy; do
    check_choice "$item" "${!item}"
  done
  [[ ${learners:?} -ge 1 ]] || die "--learners $learners: at least 1 is needed"
  if [[ -z ${train_cmd:-} && $stage -le 6 && $stop_stage -ge 6 && $learners -gt $(env -u OMP_NUM_THREADS nproc) ]]; then
    launch --dry-run -- train >/dev/null # refuses too many learners now, not after the stages before
  fi
  name=${name:-${model:+${model}_}${loss:+${loss}_}${strategy:?}_n${learners}_seed$(setting seed 0)}
  exp=$exp_dir/$name
  started=$SECONDS last_stage=''
}

# settings_of KIND NAME: the file of conf/models, conf/losses or conf/strategies, if there is one.
settings_of() {
  local folder
  case $1 in
    model) folder=conf/models ;;
    loss) folder=conf/losses ;;
    strategy) folder=conf/strategies ;;
  esac
  [[ ! -f $folder/$2.yaml ]] || printf '%s\n' "$folder/$2.yaml"
}

# check_choice KIND NAME: a name is part of paths, and is known before any stage runs; the file of a model or a loss
# chooses one, and the one that it is called after if there is such.
check_choice() {
  local file folder chosen
  [[ $2 =~ ^[A-Za-z0-9_.-]*$ ]] || die "--$1 $2: expected a name"
  [[ -n $2 ]] || return 0
  case $1 in
    model) folder=nn/models ;;
    loss) folder=nn/losses ;;
    strategy) folder=parallel/strategies ;;
  esac
  file=$(settings_of "$1" "$2")
  if [[ $1 == strategy || -z $file ]]; then
    [[ -f $root/asrpar/$folder/$2.py ]] || { asrpar train --set "$1=$2" || exit 1; } # which names the nearest
    return
  fi
  chosen=$(sed -n "s/^$1: *\([a-z][a-z0-9_]*\).*/\1/p" "$file")
  [[ -n $chosen ]] || die "$file does not say which $1 it is for: '$1: NAME'"
  [[ $chosen == "$2" || ! -f $root/asrpar/$folder/$2.py ]] || die "$file chooses the $1 $chosen: give it another name than $2"
}

# use_corpus NAME: stage 0. Checks the copy in --corpus-dir, or downloads one.
use_corpus() {
  if [[ -n ${corpus_dir:-} ]]; then
    asrpar download --corpus "$1" --corpus-dir "$corpus_dir" >/dev/null
  else
    asrpar download --corpus "$1" --output "$here/download" >/dev/null
  fi
}

# launch OPTIONS -- COMMAND: asrpar launch with the recipe's learners; it ends when this script does, however that ends.
launch() {
  local options=(--learners "$learners")
  [[ ${oversubscribe:-false} == false ]] || options+=(--oversubscribe)
  case ${train_cmd:-} in
    '' | *utils/local.sh* | *utils/slurm.sh*) local -x ASRPAR_END_WITH="${ASRPAR_END_WITH-} $$" ;;
  esac
  # shellcheck disable=SC2086 # train_cmd is a command with options
  ${train_cmd:+$train_cmd "$exp/log/launch.log"} asrpar launch "${options[@]}" "$@"
}

# no_alignment: stage 4 of a recipe whose models need neither alignments nor a phonetic decision tree.
no_alignment() {
  log "nothing to do: this recipe has no hybrid model, which alone needs alignments and a tree"
}

# train_model: stage 6, with the settings of $config, then those that conf/ has for the model, the loss and the strategy,
# then of --set.
train_model() {
  need "$data_dir/feats/cuts_train.jsonl.gz" 2 "features"
  need "$data_dir/lang/tokens.txt" 3 "units"
  local options=(--config "$config") item file
  for item in model loss strategy; do
    file=$(settings_of "$item" "${!item}")
    if [[ -n $file ]]; then
      options+=(--config "$file")
    elif [[ $item != strategy && -n ${!item} ]]; then
      options+=(--set "$item=${!item}")
    fi
  done
  for item in "${sets[@]}"; do
    options+=(--set "$item")
  done
  launch --log-dir "$exp/log" -- train "${options[@]}" --strategy "$strategy" \
    --set "exp=$exp" --set "data.feats=$data_dir/feats" --set "data.lang=$data_dir/lang"
}

# decode_sets DEV TEST...: stage 7. LM scale and beam are chosen on DEV; each TEST is decoded once with them.
decode_sets() {
  need "$exp/final.pt" 6 "the trained model"
  need "$data_dir/graph/graph.yaml" 5 "the decoding graph"
  local tests
  tests=$(IFS=, && echo "${*:2}")
  asrpar decode --config "$decode_config" --exp "$exp" --feats "$data_dir/feats" --graph "$data_dir/graph" \
    --lang "$data_dir/lang" --dev "$1" --test "$tests"
}

# score_sets SET...: stage 8. The references are those of stage 1: what was dropped since then counts as deleted.
score_sets() {
  local set
  for set in "$@"; do
    need "$exp/decode_$set/hyp.trn" 7 "hypotheses"
  done
  # Together, so that each line names its set.
  asrpar score --exp "$exp" --set "$(IFS=, && echo "$*")" --manifests "$data_dir/manifests"
}

# train_and_score DEV TEST...: stages 4 to 8 of a recipe that needs nothing of its own there, and where the results lie.
train_and_score() {
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
    decode_sets "$@"
  fi
  if begin_stage 8 "scores"; then
    score_sets "$@"
  fi
  end_recipe "${@: -1}"
}

# end_recipe SET: where the results lie, or how far this run went.
end_recipe() {
  local seconds=$((SECONDS - started)) wer=$exp/decode_$1/wer.json
  if [[ $last_stage == 8 && -e $wer ]]; then
    log "done after $seconds s; WER of ${strategy} on ${learners} learner(s): $wer"
  elif [[ -n $last_stage ]]; then
    log "done after $seconds s; stage $last_stage was the last"
  else
    log "nothing to do: no stage from --stage $stage to --stop-stage $stop_stage"
  fi
}
