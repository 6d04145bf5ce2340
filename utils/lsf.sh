#!/usr/bin/env bash
# Run jobs under LSF (10.1 or newer), several as one array, and wait for them.
#   utils/lsf.sh --mem 4G --time 2:00:00 JOB=1:40 exp/log/x.JOB.log program --part JOB
# What a site needs besides comes from --queue and --submit-args (-P PROJECT, -app PROFILE). With --num-tasks R the job gets
# R slots, for as many MPI ranks that `asrpar launch --learners R` starts.
# Two minutes before the time limit LSF sends SIGUSR1 (-wa, -wt), which utils/jobs/run_job.sh hands on to a command that
# handles it, as `asrpar launch` does. A job that was stopped so ends with exit code 138; with --requeue N this script
# submits it again, at most N times. LSF's -W counts time on its reference host, unless the site has ABS_RUNLIMIT=Y.
set -euo pipefail
# shellcheck source=utils/jobs/options.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/options.sh"
# shellcheck source=utils/jobs/submit.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/submit.sh"
# shellcheck disable=SC2034 # utils/jobs/submit.sh uses them
batch_system=LSF submit_program=bsub
parse_job_options "$@"
minutes=''
if [[ -n $time_limit ]]; then
  minutes=$(job_seconds "$time_limit")
  minutes=$(((minutes + 59) / 60))
fi

add_options() { # OUTPUT
  local name=${1##*/} needs=() size=${mem^^}
  name=${name//[^A-Za-z0-9_.-]/_}
  if ((${#numbers[@]} > 1)); then
    options=(-J "${name}[$(number_list)]${max_jobs_run:+%$max_jobs_run}" -o "$1.%I.out")
  else
    options=(-J "$name" -o "$1.${numbers[0]}.out")
  fi
  if ((num_tasks == 1)); then
    options+=(-n "$num_threads")
    needs+=("span[hosts=1]")
  else
    options+=(-n "$num_tasks")
    ((num_threads == 1)) || needs+=("affinity[core($num_threads)]")
  fi
  [[ $size != *[KMGT] ]] || size+=B
  [[ -z $size ]] || needs+=("rusage[mem=$size]")
  ((${#needs[@]} == 0)) || options+=(-R "${needs[*]}")
  ((gpu == 0)) || options+=(-gpu "num=$gpu$( ((num_tasks == 1)) || echo /task)")
  if [[ -n $minutes ]]; then
    options+=(-W "$(printf '%d:%02d' $((minutes / 60)) $((minutes % 60)))")
    ((minutes == 1)) || options+=(-wa USR1 -wt "$((minutes > 4 ? 2 : 1))")
  fi
  [[ -z $queue ]] || options+=(-q "$queue")
  [[ -z $requeue ]] || options+=("$( ((requeue > 0)) && echo -r || echo -rn)")
  options+=("${submit_args[@]}")
}

directives() {
  print_directives '#BSUB' "${options[@]}"
}

number_lines() { # of a job that is no array LSF says 0, or nothing
  # shellcheck disable=SC2016 # the job expands it
  printf 'number=${LSB_JOBINDEX:-0}; ((number > 0)) || number=%d\n' "${numbers[0]}"
}

submit() { # SCRIPT
  local said
  said=$(bsub "${options[@]}" <"$1") || return
  [[ $said =~ Job\ \<([0-9]+)\> ]] && echo "${BASH_REMATCH[1]}"
}

unfinished() { # ID
  local said
  if said=$(bjobs -noheader -o stat "$1" 2>&1); then
    [[ $(printf '%s\n' "$said" | grep -cEv '^ *(DONE|EXIT) *$') -gt 0 ]]
  elif [[ $said == *"is not found"* ]]; then
    return 1
  else
    return 2
  fi
}

cancel() { # ID
  bkill "$1"
}

run_jobs
