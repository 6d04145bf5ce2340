# shellcheck shell=bash
# What the recipes' run.sh share: options, names and places, and the stages that are the same for every corpus. A run.sh
# begins with
#
#     . "$(dirname "${BASH_SOURCE[0]}")/../../../utils/recipe.sh"
#     cmudict=                # options that it has besides those of utils/recipe_options.sh
#     . "$root/utils/parse_options.sh"
#     begin_recipe "$@"
#
# Sets: root, of this clone, and here, the recipe's folder: that of the run.sh that was started, which may source another
# recipe's, with other settings in its own conf/.
here=$(cd "$(dirname "${BASH_SOURCE[1]:+${BASH_SOURCE[-1]}}")" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # utils/parse_options.sh uses them
help_message="Usage: $0 [options]
Stages: 0 corpus, 1 manifests, 2 features, 3 language, 4 alignment and tree, 5 graph, 6 training, 7 decoding, 8 scores"
# shellcheck source=utils/common.sh
. "$root/utils/common.sh"
# shellcheck source=utils/around.sh
. "$root/utils/around.sh"
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
  around_me=${ASRPAR_END_WITH-}
  end_with_me
  package=$root/asrpar
  [[ -d $package ]] || package=$(asrpar recipe package) # this is a copy of a recipe
  # How the training stage is started, and jobs of stages 2 and 7. Empty: here, on the terminal (utils/local.sh for jobs).
  # A recipe or site may have a cmd.sh that says so.
  train_cmd=${ASRPAR_TRAIN_CMD:-} feats_cmd=${ASRPAR_FEATS_CMD:-} decode_cmd=${ASRPAR_DECODE_CMD:-}
  # shellcheck source=/dev/null
  [[ ! -f $here/cmd.sh ]] || . "$here/cmd.sh"
  exp_dir=$(absolute "${exp_dir:?}")
  data_dir=$(absolute "${data_dir:-$exp_dir/data}")
  [[ -z ${corpus_dir:-} ]] || corpus_dir=$(absolute "$corpus_dir")
  [[ -z ${rescore_lm:=} ]] || rescore_lm=$(absolute "$rescore_lm")
  [[ ${config:?} == conf/* ]] || config=$(absolute "$config")
  [[ -z ${decode_config:-} || $decode_config == conf/* ]] || decode_config=$(absolute "$decode_config")
  cd "${here:?}" || exit 1
  for item in model loss strategy; do
    check_choice "$item" "${!item}"
  done
  for item in feats_parts decode_parts; do
    [[ ${!item:-} =~ ^([1-9][0-9]*)?$ ]] || die "--${item/_/-} ${!item}: expected a whole number of at least 1"
  done
  [[ ${learners:?} -ge 1 ]] || die "--learners $learners: at least 1 is needed"
  if [[ -z ${train_cmd:-} && $stage -le 6 && $stop_stage -ge 6 && $learners -gt $(env -u OMP_NUM_THREADS nproc) ]]; then
    launch --dry-run -- train >/dev/null # refuses too many learners now, not after the stages before
  fi
  name=${name:-${units:+${units}_}${model:+${model}_}${loss:+${loss}_}${tree:+${tree}_}${strategy:?}_n${learners}_seed$(setting seed 0)}
  exp=$exp_dir/$name
  name_places
  started=$SECONDS last_stage=''
}

# name_places: what depends on the loss (kind), on its tree and on the language model: the folders of the language, of
# the alignment and of the graph, and the settings of the decoding.
name_places() {
  [[ ${lm:=}${tree:=}${units:=} =~ ^[A-Za-z0-9_.-]*$ ]] || die "--lm $lm, --tree $tree, --units $units: expected names"
  [[ -z $units ]] || need "conf/units/$units.yaml" "conf/lang.yaml has those without --units" "settings of the units"
  # shellcheck disable=SC2034 # stage 3 of recipes uses lang_options
  lang_options=(--config conf/lang.yaml ${units:+--config "conf/units/$units.yaml"} ${lm:+--config "conf/lang_$lm.yaml"})
  lang_dir=$data_dir/lang${units:+_$units}${lm:+_$lm}
  [[ -z $lm || -f conf/lang_$lm.yaml ]] || die "--lm $lm: there is no $here/conf/lang_$lm.yaml"
  kind=$(kind_of_loss)
  graph_dir=$data_dir/graph${units:+_$units} ali_dir='' tree_of_graph=''
  case $kind in
    frame_ce)
      [[ ${tree:=cd} == mono ]] || need "conf/trees/$tree.yaml" "--tree mono is without contexts" "settings of the tree"
      ali_dir=$(setting data.ali "$data_dir/ali${units:+_$units}_$tree")
      graph_dir+=_$tree tree_of_graph=$ali_dir
      ;;
    lfmmi)
      [[ -z $tree ]] || die "--tree $tree: lfmmi has no tree, unless with --set data.tree=PATH"
      ali_dir=$(setting data.ali '')
      graph_dir+=_lfmmi tree_of_graph=$(setting data.tree "$ali_dir")
      ;;
    *) [[ -z $tree ]] || die "--tree $tree: only models that are trained on states of phones have one (--loss frame_ce)" ;;
  esac
  graph_dir+=${lm:+_$lm}
  # What suits models with states of phones, asrpar knows by itself.
  if [[ -z ${decode_config:-} ]]; then
    case $kind in
      frame_ce | lfmmi) decode_config=conf/decode_$kind.yaml ;;
      *) decode_config=conf/decode.yaml ;;
    esac
    [[ -f $decode_config ]] || decode_config=''
  fi
}

# kind_of_loss: the loss that --loss or the settings of the training choose, whatever a file of it is called.
kind_of_loss() {
  local file kind=''
  file=$(settings_of loss "${loss:-}")
  [[ -n $file || -n ${loss:-} ]] || file=$config
  [[ -z $file || ! -f $file ]] || kind=$(sed -n "s/^loss: *\([a-z][a-z0-9_]*\).*/\1/p" "$file")
  printf '%s\n' "${kind:-${loss:-ctc}}"
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
    [[ -f $package/$folder/$2.py ]] || { asrpar train --set "$1=$2" || exit 1; } # which names the nearest
    return
  fi
  chosen=$(sed -n "s/^$1: *\([a-z][a-z0-9_]*\).*/\1/p" "$file")
  [[ -n $chosen ]] || die "$file does not say which $1 it is for: '$1: NAME'"
  [[ $chosen == "$2" || ! -f $package/$folder/$2.py ]] || die "$file chooses the $1 $chosen: give it another name than $2"
}

# use_corpus NAME [--part PART]...: stage 0. Checks the copy in --corpus-dir, or downloads one, or those parts of it.
use_corpus() {
  if [[ -n ${corpus_dir:-} ]]; then
    asrpar download --corpus "$1" --corpus-dir "$corpus_dir" >/dev/null
  else
    asrpar download --corpus "$1" --output "$here/download" "${@:2}" >/dev/null
  fi
}

# in_parts CMD PARTS LOG COMMAND...: run COMMAND in an array of jobs, `CMD JOB=1:PARTS LOG COMMAND --part JOB --parts
# PARTS`, and then once more, with --parts alone, to put together what they made. LOG has the word JOB in it.
in_parts() {
  local cmd=${1:-$root/utils/local.sh} parts=$2 log=$3
  shift 3
  # shellcheck disable=SC2086 # a command with options
  $cmd "JOB=1:$parts" "$log" "$@" --part JOB --parts "$parts"
  [[ " $cmd " == *" --dry-run "* ]] || "$@" --parts "$parts"
}

# extract_features SET... [OPTIONS]: stage 2, with the settings of conf/feats.yaml, then what OPTIONS of asrpar
# extract-features say; with --feats-parts N in as many jobs, which $feats_cmd starts. Only the set `train` gets copies
# at other speeds.
extract_features() {
  local splits=() command
  while (($#)) && [[ $1 != --* ]]; do
    splits+=("$1")
    shift
  done
  need "$data_dir/manifests" 1 "manifests"
  command=(asrpar extract-features --config conf/feats.yaml --manifests "$data_dir/manifests" --output "$data_dir/feats"
    --splits "$(IFS=, && echo "${splits[*]}")" "$@")
  if [[ -n ${feats_parts:-} ]]; then
    in_parts "${feats_cmd:-}" "$feats_parts" "$data_dir/log/feats.JOB.log" "${command[@]}"
  else
    "${command[@]}"
  fi
}

# launch OPTIONS -- COMMAND: asrpar launch with the recipe's learners; it ends when this script does, however that ends,
# unless a $train_cmd that is not ours has started it, which may be there for that.
launch() {
  local options=(--learners "$learners")
  [[ ${oversubscribe:-false} == false ]] || options+=(--oversubscribe)
  case ${train_cmd:-} in
    '' | *utils/local.sh* | *utils/slurm.sh*) ;;
    *) local -x ASRPAR_END_WITH=${around_me-} ;;
  esac
  # shellcheck disable=SC2086 # train_cmd is a command with options
  ${train_cmd:+$train_cmd "$exp/log/launch.log"} asrpar launch "${options[@]}" "$@"
}

# align_data: stage 4, an alignment of monophone states and, unless --tree is mono, a tree with the labels of its leaves.
align_data() {
  local options=() monophones=$data_dir/ali${units:+_$units}_mono
  if [[ $kind != frame_ce ]]; then
    log "nothing to do: the loss $kind needs no alignment (frame_ce does)"
    return
  elif [[ -n $(setting data.ali '') ]]; then
    need "$ali_dir/ali.yaml" "--set data.ali names the folder of an alignment" "the alignment"
    log "nothing to do: the alignment is given, $ali_dir"
    return
  fi
  need "$data_dir/feats/cuts_train.jsonl.gz" 2 "features"
  need "$lang_dir/tokens.txt" 3 "units"
  [[ ! -f conf/align.yaml ]] || options=(--config conf/align.yaml)
  asrpar align ${options[@]+"${options[@]}"} --sets "train,$(setting data.dev dev)" --feats "$data_dir/feats" \
    --lang "$lang_dir" --output "$monophones"
  [[ $tree == mono ]] || asrpar build-tree --config "conf/trees/$tree.yaml" --ali "$monophones" \
    --feats "$data_dir/feats" --output "$ali_dir"
}

# make_graph: stage 5, of units (HLG, with the settings of conf/graph.yaml), or of phones in context (HCLG) with the tree
# of the alignment, or with the two classes that lfmmi has for each phone.
make_graph() {
  local options=()
  need "$lang_dir/tokens.txt" 3 "units"
  if [[ -n $tree_of_graph ]]; then
    need "$tree_of_graph" 4 "the tree"
    options=(--tree "$tree_of_graph")
  elif [[ $kind == lfmmi ]]; then
    options=(--set topology=chain)
  elif [[ -f conf/graph.yaml ]]; then
    options=(--config conf/graph.yaml)
  fi
  asrpar make-graph --lang "$lang_dir" --output "$graph_dir" ${options[@]+"${options[@]}"}
}

# train_model: stage 6, with the settings of $config, then those that conf/ has for the model, the loss and the strategy,
# then of --set.
train_model() {
  need "$data_dir/feats/cuts_train.jsonl.gz" 2 "features"
  need "$lang_dir/tokens.txt" 3 "units"
  [[ -z $ali_dir ]] || need "$ali_dir/ali.yaml" 4 "the alignment"
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
    --set "exp=$exp" --set "data.feats=$data_dir/feats" --set "data.lang=$lang_dir" ${ali_dir:+--set "data.ali=$ali_dir"}
}

# decode_sets DEV TEST...: stage 7. LM scale and beam are chosen on DEV; each TEST is decoded once with them. What
# --rescore-lm does to the lattices is chosen on DEV, too. With --decode-parts N each TEST is decoded in as many jobs, which
# $decode_cmd starts.
decode_sets() {
  need "$exp/final.pt" 6 "the trained model"
  need "$graph_dir/graph.yaml" 5 "the decoding graph"
  [[ -z $rescore_lm ]] || need "$rescore_lm" "--rescore-lm names an ARPA file" "the larger language model"
  local tests command
  tests=$(IFS=, && echo "${*:2}")
  command=(asrpar decode ${decode_config:+--config "$decode_config"} --exp "$exp" --feats "$data_dir/feats"
    --graph "$graph_dir" --lang "$lang_dir" ${lm:+--suffix "$lm"} ${rescore_lm:+--set lattices=true})
  if [[ -n ${decode_parts:-} ]]; then
    # The choice is made on the whole of DEV, in one job.
    # shellcheck disable=SC2086 # a command with options
    ${decode_cmd:-$root/utils/local.sh} "$exp/log/decode_${lm:+${lm}_}$1.log" "${command[@]}" --dev "$1" --test ""
    in_parts "${decode_cmd:-}" "$decode_parts" "$exp/log/decode_${lm:+${lm}_}test.JOB.log" "${command[@]}" \
      --dev "" --test "$tests"
  else
    "${command[@]}" --dev "$1" --test "$tests"
  fi
  [[ -z $rescore_lm ]] || asrpar rescore --exp "$exp" --lang "$lang_dir" --lm "$rescore_lm" --dev "$1" \
    --test "$tests" ${lm:+--from "$lm"} --suffix "${lm:+${lm}_}rescored"
}

# score_sets SET...: stage 8. The references are those of stage 1: what was dropped since then counts as deleted.
score_sets() {
  local set suffix suffixes=("$lm")
  [[ -z $rescore_lm ]] || suffixes+=("${lm:+${lm}_}rescored")
  for suffix in "${suffixes[@]}"; do
    for set in "$@"; do
      need "$exp/decode_$set${suffix:+_$suffix}/hyp.trn" 7 "hypotheses"
    done
    # Together, so that each line names its set.
    asrpar score --exp "$exp" --set "$(IFS=, && echo "$*")" --manifests "$data_dir/manifests" \
      ${suffix:+--suffix "$suffix"}
  done
}

# train_and_score DEV TEST...: stages 4 to 8 of a recipe that needs nothing of its own there, and where the results lie.
train_and_score() {
  if begin_stage 4 "alignment and tree"; then
    align_data
  fi
  if begin_stage 5 "decoding graph"; then
    make_graph
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
  local seconds=$((SECONDS - started)) wer=$exp/decode_$1${lm:+_$lm}/wer.json metric
  if [[ $last_stage == 8 && -e $wer ]]; then
    metric=$(sed -n '/"metric"/{s/.*: "\([A-Z]*\)".*/\1/p;q}' "$wer") # parts of a set come later
    log "done after $seconds s; ${metric:-WER} of ${strategy} on ${learners} learner(s): $wer"
  elif [[ -n $last_stage ]]; then
    log "done after $seconds s; stage $last_stage was the last"
  else
    log "nothing to do: no stage from --stage $stage to --stop-stage $stop_stage"
  fi
}
