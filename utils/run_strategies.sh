#!/usr/bin/env bash
# Train and score a recipe with several strategies and seeds, one after the other, on the same features and graph.
# What has been scored is left alone, so the same command goes on where an earlier one was stopped.
#   utils/run_strategies.sh --runs "ssgd:0,1,2 adpsgd+neighbours=random:0" egs/an4/s5 --exp-dir EXP --learners 4
set -euo pipefail

runs="ssgd:0 bmuf:0" # STRATEGY[+KEY=VALUE...]:SEED[,SEED...] ...; KEY is a setting of the strategy
compare_set="test"   # set whose results are tabulated in the end
help_message="Usage: $0 [options] RECIPE_DIR --exp-dir DIR [more options of its run.sh]"
utils=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=utils/common.sh
. "$utils/common.sh"
# shellcheck source=utils/around.sh
. "$utils/around.sh"
# shellcheck source=utils/parse_options.sh
. "$utils/parse_options.sh"

[[ $# -ge 1 && -x $1/run.sh ]] || die "give the folder of a recipe, such as egs/an4/s5"
recipe=$(absolute "$1")
shift
options=("$@") exp_dir='' learners=2
while [[ $# -gt 0 ]]; do
  case $1 in
    --exp-dir) exp_dir=$(absolute "${2-}") ;;
    --exp-dir=*) exp_dir=$(absolute "${1#*=}") ;;
    --learners) learners=${2-} ;;
    --learners=*) learners=${1#*=} ;;
  esac
  shift
done
[[ -n $exp_dir ]] || die "give --exp-dir DIR: all experiments of the comparison go there"
for run in $runs; do
  [[ $run == ?*:?* ]] || die "--runs: $run: expected STRATEGY:SEED,SEED..."
done
root=$(dirname "$utils")
# shellcheck source=utils/path.sh
. "$utils/path.sh"
end_with_me

ended() { # EXIT_CODE NAME: of a run that did not end well
  case $1 in
    129 | 130 | 131 | 140 | 143) log "$2 was stopped; the same command goes on" && exit "$1" ;;
    138) log "$2 was stopped at its time limit; the same command goes on with it" ;;
    *) log "$2 failed; going on with the others" ;;
  esac
}

"$recipe/run.sh" "${options[@]}" --stop-stage 5
experiments=()
for run in $runs; do
  what=${run%:*} seeds=${run##*:}
  strategy=${what%%+*} settings=()
  while [[ $what == *+* ]]; do
    settings+=(--set "strategies.$strategy.${what##*+}")
    what=${what%+*}
  done
  what=${run%:*}
  what=${what//[+=]/_}
  # One learner is the reference of a comparison, whatever their number is.
  count=$learners
  [[ $strategy != single ]] || count=1
  for seed in ${seeds//,/ }; do
    name=${what}_n${count}_seed$seed
    experiments+=("$exp_dir/$name")
    if [[ -e $exp_dir/$name/decode_$compare_set/wer.json ]]; then
      log "$name is there already"
      continue
    fi
    "$recipe/run.sh" "${options[@]}" --stage 6 --strategy "$strategy" --learners "$count" --name "$name" \
      "${settings[@]}" --set "seed=$seed" || ended $? "$name"
  done
done
scored=()
for exp in "${experiments[@]}"; do
  [[ ! -e $exp/decode_$compare_set/wer.json ]] || scored+=("$exp")
done
[[ ${#scored[@]} -gt 0 ]] || die "nothing was scored"
asrpar compare --set "$compare_set" --markdown "$exp_dir/strategies.md" "${scored[@]}"
[[ ${#scored[@]} -eq ${#experiments[@]} ]] || die "$((${#experiments[@]} - ${#scored[@]})) of ${#experiments[@]} runs failed"
