# shellcheck shell=bash
# To declare a default is to declare the option. To be sourced, after the defaults:
#
#     stage=0          # first stage to run
#     exp_dir=exp      # where everything goes
#     sets=()          # --set key=value, may be repeated
#     help_message="Usage: $0 [options]"
#     . utils/parse_options.sh
#
# Then --stage 3, --stage=3, --exp-dir DIR and --set a.b=c work, and so does --help, which prints $help_message and the
# options with their defaults and comments. An option is a line `name=value` (lower case, at the start of a line) of the
# calling script, above the line that sources this file. A default of true or false makes the option boolean, a whole
# number makes it one; a value that a program computes, as in here=$(pwd), is no option. Options end at `--` or at the
# first word that is none; what is left stays in "$@". Options that several scripts share stand in a file of their own,
# which the script sources and names in the array option_files; a later declaration of the same name counts.
# --config FILE reads `name=value` lines as options, unless the script declares a `config` of its own.
# All names in here begin with _po_, so that no option of a script can meet them.

_po_names=()
declare -A _po_default=() _po_comment=()

_po_die() {
  echo "${0##*/}: error: $1" >&2
  exit 1
}

_po_declared() { # SCRIPT [LAST_LINE]: find the options that a file declares
  local _po_line _po_name
  while IFS= read -r _po_line; do
    [[ $_po_line =~ ^([a-z][a-z0-9_]*)=(.*)$ && ${BASH_REMATCH[1]} != help_message ]] || continue
    [[ ${BASH_REMATCH[2]} == \$\(* || ${BASH_REMATCH[1]} == option_files ]] && continue
    _po_name=${BASH_REMATCH[1]}
    _po_known "$_po_name" || _po_names+=("$_po_name")
    _po_default[$_po_name]=${!_po_name-}
    _po_comment[$_po_name]=''
    [[ $_po_line =~ ' # '*(.*)$ ]] && _po_comment[$_po_name]=${BASH_REMATCH[1]}
  done < <(head -n "${2:--0}" "$1")
  return 0
}

_po_known() { # NAME: whether it is declared (the pattern first: a subscript is expanded by bash)
  [[ $1 =~ ^[a-z][a-z0-9_]*$ && -v _po_default[$1] ]]
}

_po_help() {
  local _po_name
  [[ -n ${help_message-} ]] && printf '%s\n' "$help_message"
  echo "Options:"
  for _po_name in "${_po_names[@]}"; do
    if [[ $_po_name == sets ]]; then
      printf '  %-22s %s\n' "--set key=value" "${_po_comment[sets]:-override one setting; may be repeated}"
    else
      printf '  %-22s %s\n' "--${_po_name//_/-}" \
        "${_po_comment[$_po_name]}${_po_comment[$_po_name]:+ }[${_po_default[$_po_name]}]"
    fi
  done
}

_po_nearest() { # NAME: the declared option with the smallest edit distance, if it is near
  local _po_name
  for _po_name in "${_po_names[@]}"; do
    [[ $_po_name == sets ]] && _po_name="set"
    echo "${_po_name//_/-}"
  done | awk -v a="${1//_/-}" '
    function least(x, y, z) { return x < y ? (x < z ? x : z) : (y < z ? y : z) }
    {
      n = length(a); m = length($0)
      for (j = 0; j <= m; j++) d[0, j] = j
      for (i = 1; i <= n; i++) {
        d[i, 0] = i
        for (j = 1; j <= m; j++)
          d[i, j] = least(d[i-1, j] + 1, d[i, j-1] + 1, d[i-1, j-1] + (substr(a, i, 1) != substr($0, j, 1)))
      }
      if (best == "" || d[n, m] < distance) { best = $0; distance = d[n, m] }
    }
    END { if (best != "" && distance <= 1 + n / 3) print best }'
}

_po_assign() { # NAME VALUE WHERE: check and set one option
  local _po_name=${1//-/_} _po_near
  if [[ $_po_name == set ]] && _po_known sets; then
    [[ $2 == ?*=* ]] || _po_die "$3: expected key=value, for example --set seed=3"
    sets+=("$2")
    return
  fi
  if ! _po_known "$_po_name" || [[ $_po_name == sets ]]; then
    _po_near=$(_po_nearest "$1")
    _po_die "$3: unknown option${_po_near:+; did you mean --$_po_near?} (--help lists them)"
  fi
  case ${_po_default[$_po_name]} in
    true | false)
      [[ $2 == true || $2 == false ]] || _po_die "$3: expected true or false, not '$2'"
      ;;
    *[!0-9-]* | '' | -) ;;
    *)
      # Bash takes 08 for octal.
      [[ $2 =~ ^-?(0|[1-9][0-9]*)$ ]] || _po_die "$3: expected a whole number, not '$2'"
      ;;
  esac
  printf -v "$_po_name" '%s' "$2"
}

_po_file() { # FILE: options as name=value lines; read, not executed
  local _po_line _po_number=0
  [[ -r $1 && -f $1 ]] || _po_die "--config $1: no such file"
  while IFS= read -r _po_line || [[ -n $_po_line ]]; do
    _po_number=$((_po_number + 1))
    [[ $_po_line =~ ^[[:space:]]*(#.*)?$ ]] && continue
    [[ $_po_line == *=* ]] || _po_die "$1, line $_po_number: expected name=value"
    _po_assign "${_po_line%%=*}" "${_po_line#*=}" "$1, line $_po_number, ${_po_line%%=*}"
  done <"$1"
}

# shellcheck disable=SC2154 # a script that has it declares it
for _po_option in ${option_files[@]+"${option_files[@]}"}; do
  _po_declared "$_po_option"
done
_po_declared "${BASH_SOURCE[1]}" "${BASH_LINENO[0]}"
while (($#)); do
  case $1 in
    -h | --help)
      _po_help
      exit 0
      ;;
    --)
      shift
      break
      ;;
    --*=*)
      _po_option=${1%%=*} _po_value=${1#*=}
      shift
      ;;
    --?*)
      _po_option=$1
      # A wrong name is the first thing to say; only then that its value is missing.
      _po_value=${1#--}
      if [[ $1 != --config && $1 != --set ]] && ! _po_known "${_po_value//-/_}"; then
        _po_assign "$_po_value" "" "$1"
      fi
      (($# > 1)) && [[ $2 != --?* ]] || _po_die "$1: a value is missing"
      _po_value=$2
      shift 2
      ;;
    *) break ;;
  esac
  if [[ $_po_option == --config ]] && ! _po_known config; then
    _po_file "$_po_value"
  else
    _po_assign "${_po_option#--}" "$_po_value" "$_po_option"
  fi
done
unset -f _po_die _po_declared _po_known _po_help _po_nearest _po_assign _po_file
unset _po_names _po_default _po_comment _po_option _po_value
