#!/usr/bin/env bash
# Run one job of utils/{local,slurm,pbs,lsf}.sh: put its number in place of the variable's name, and keep its log.
# Usage: run_job.sh NAME NUMBER LOG COMMAND [ARGS]...     (NAME is empty for a job without a number)
# The log begins with the command and the time, and ends with `# ended: exit code N, ...`; a log without that last line
# belongs to a job that was killed.
# SIGUSR1 (the time limit nears; SIGUSR2 is taken for it) and SIGTERM are handed on to the command, whose end is then
# waited for; SIGINT, which LSF's bkill sends first, is taken for SIGTERM. Where the system does not send SIGUSR1 in time,
# ASRPAR_JOB_WARN_AFTER=SECONDS has this script do so.
# Under Slurm, with ASRPAR_JOB_REQUEUE=N, a job that SIGUSR1 has stopped queues itself again unless it was started again N
# times already, also by Slurm after the loss of a node; each start goes on with the same log.
set -uo pipefail

child='' early='' signals=0 cancelled=''
trap 'hand_on USR1' USR1 USR2 # as a site or --submit-args may have it
trap 'hand_on TERM' TERM INT
times=${ASRPAR_JOB_REQUEUE:-0} warn_after=${ASRPAR_JOB_WARN_AFTER:-} starts_before=${SLURM_RESTART_COUNT:-0}
unset ASRPAR_JOB_REQUEUE ASRPAR_JOB_WARN_AFTER # they are not for jobs that the command starts

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
  [[ $signal != TERM || $signals != 0 ]] || cancelled=yes # after SIGUSR1 it is the end of the time
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

warn_in() { # SECONDS: hand on SIGUSR1 then, if this script is still there
  local end=$((SECONDS + $1))
  while ((SECONDS < end)); do
    sleep "$((end - SECONDS < 5 ? end - SECONDS : 5))"
    kill -0 $$ 2>/dev/null || return
  done
  kill -USR1 $$
}

ended() { # EXIT_CODE
  printf '# ended: exit code %d, %s, after %d s\n' "$1" "$(date '+%F %T %z')" "$((SECONDS - start))" >>"$log"
}

queue_again() { # EXIT_CODE: 0 if the batch system will start this job once more
  local said job=${SLURM_JOB_ID-}
  # One task of an array has the number of the whole: with it all tasks would run again, also those that have ended well.
  [[ -z ${SLURM_ARRAY_JOB_ID-} ]] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
  [[ $1 == 138 || $1 == 140 ]] && ((times > 0)) || return 1
  if [[ -z $job ]]; then
    return 1 # utils/{pbs,lsf}.sh submit such jobs again
  elif ((starts_before >= times)); then
    printf '# not queued again: that was done %d times, and at most %d were asked for\n' "$starts_before" "$times" >>"$log"
    return 1
  fi
  # First the line, because Slurm ends this script as soon as it has heard.
  printf '# stopped: exit code %d, %s, after %d s; queued again, %d of at most %d times\n' \
    "$1" "$(date '+%F %T %z')" "$((SECONDS - start))" "$((starts_before + 1))" "$times" >>"$log"
  said=$(scontrol requeue "$job" 2>&1) && return
  printf '# not queued again: %s\n' "$said" >>"$log"
  return 1
}

start=$SECONDS
mkdir -p "$(dirname "$log")" || exit 1
{
  printf '# command: %s\n' "$(printf '%q ' "${words[@]}")"
  printf '# started: %s on %s, OMP_NUM_THREADS %s\n' "$(date '+%F %T %z')" "$(uname -n)" "${OMP_NUM_THREADS:-not set}"
} >>"$log" || exit 1
if ((times > 0 && starts_before > times)); then
  printf '# started again %d times, and at most %d were asked for\n' "$starts_before" "$times" >>"$log"
  ended 1
  exit 1
fi
# shellcheck source=utils/around.sh
. "$(dirname "${BASH_SOURCE[0]}")/../around.sh"
end_with_me
"${words[@]}" >>"$log" 2>&1 </dev/null &
child=$!
[[ -z $early ]] || hand_on "$early"
timer=''
if [[ -n $warn_after ]]; then
  warn_in "$warn_after" </dev/null &>/dev/null &
  timer=$!
fi
code=0 seen=-1
while ((seen != signals)); do # a signal ends `wait` before the command ends
  seen=$signals
  wait "$child"
  now=$?
  ((now < 0)) || code=$now # bash 5.2 forgets a child that ends by the same signal as its `wait`
done
[[ -z $timer ]] || kill -KILL "$timer" 2>/dev/null
# asrpar launch ends alike after both signals, but who has cancelled a job does not want it queued again.
[[ -z $cancelled || $code != 138 ]] || code=143
queue_again "$code" || ended "$code"
exit "$code"
