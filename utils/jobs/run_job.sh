#!/usr/bin/env bash
# Run one job of utils/{local,slurm}.sh: put its number in place of the variable's name, and keep its log.
# Usage: run_job.sh NAME NUMBER LOG COMMAND [ARGS]...     (NAME is empty for a job without a number)
# The log begins with the command and the time, and ends with `# ended: exit code N, ...`; a log without that last line
# belongs to a job that was killed.
# SIGUSR1 (the time limit nears; SIGUSR2 is taken for it) and SIGTERM are handed on to the command, whose end is then
# waited for.
set -uo pipefail

child='' early='' signals=0
trap 'hand_on USR1' USR1 USR2 # as a site or --submit-args may have it
trap 'hand_on TERM' TERM

name=$1 number=$2 log=$3
shift 3
words=("$@")
if [[ -n $name ]]; then
  log=${log//"$name"/$number}
  words=("${words[@]//"$name"/$number}")
fi

is_launcher() { # whether the command is `asrpar launch`
  [[ " ${words[*]::5} " =~ ^\ ([^ ]*/)?(asrpar|python[0-9.]*\ -m\ asrpar)\ launch\  ]]
}

catches_usr1() { # whether the command has a handler for it; without one the signal would end it at once
  local key mask=''
  while read -r key mask; do
    [[ $key == SigCgt: ]] && break
  done 2>/dev/null <"/proc/$child/status"
  [[ -n $mask ]] && ((0x$mask & 1 << 9))
}

hand_on() { # SIGNAL
  local signal=$1 i
  signals=$((signals + 1))
  if [[ -z $child ]]; then
    early=$signal
    return
  fi
  # asrpar launch makes of SIGTERM a SIGUSR1 for its ranks, but a second SIGTERM ends them at once; whoever sends it to
  # all processes of a job has sent it the first one.
  is_launcher && signal=USR1
  if [[ $signal == USR1 ]]; then
    for ((i = 0; i < 100; i++)); do # asrpar launch has its handler some moments after its start
      catches_usr1 && break
      is_launcher && kill -0 "$child" 2>/dev/null || return
      sleep 0.1
    done
  fi
  kill -s "$signal" "$child" 2>/dev/null
}

mkdir -p "$(dirname "$log")" || exit 1
{
  printf '# command: %s\n' "$(printf '%q ' "${words[@]}")"
  printf '# started: %s on %s, OMP_NUM_THREADS %s\n' "$(date '+%F %T %z')" "$(uname -n)" "${OMP_NUM_THREADS:-not set}"
} >"$log" || exit 1
start=$SECONDS
# shellcheck source=utils/around.sh
. "$(dirname "${BASH_SOURCE[0]}")/../around.sh"
end_with_me
"${words[@]}" >>"$log" 2>&1 </dev/null &
child=$!
[[ -z $early ]] || hand_on "$early"
code=0 seen=-1
while ((seen != signals)); do # a signal ends `wait` before the command ends
  seen=$signals
  wait "$child"
  code=$?
done
printf '# ended: exit code %d, %s, after %d s\n' "$code" "$(date '+%F %T %z')" "$((SECONDS - start))" >>"$log"
exit "$code"
