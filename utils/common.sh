# shellcheck shell=bash
# Helpers for recipes; to be sourced.

# log TEXT...: a line with the time, on stderr like all messages.
log() {
  printf '%s %s: %s\n' "$(date '+%H:%M:%S')" "${0##*/}" "$*" >&2
}

# die TEXT...: one line, and the end.
die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# begin_stage N TITLE: whether stage N is to run (from $stage to $stop_stage); announces it if so, and sets $last_stage.
#     if begin_stage 2 "features"; then ... fi
begin_stage() {
  [[ ${stage:?} -le $1 && ${stop_stage:?} -ge $1 ]] || return 1
  # shellcheck disable=SC2034 # utils/recipe.sh uses it
  last_stage=$1
  log "stage $1: $2"
}

# need PATH STAGE WHAT: end with a clear line unless PATH exists, which STAGE (a number, or words) makes.
need() {
  [[ -e $1 ]] && return
  if [[ $2 =~ ^[0-9]+$ ]]; then
    die "$1 (${3:-needed here}) is missing: run stage $2 first (--stage $2)"
  fi
  die "$1 (${3:-needed here}) is missing: $2"
}

# absolute PATH: the same path from the root; it need not exist.
absolute() {
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$PWD" "$1" ;;
  esac
}

# setting KEY DEFAULT: the value of the last `--set KEY=value` in the array `sets`.
setting() {
  local item value=$2
  # shellcheck disable=SC2154 # the recipe declares it
  for item in "${sets[@]}"; do
    [[ $item == "$1="* ]] && value=${item#*=}
  done
  printf '%s\n' "$value"
}
