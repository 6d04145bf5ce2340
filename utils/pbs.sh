#!/usr/bin/env bash
# Run jobs under PBS Professional or OpenPBS, several as one array, and wait for them.
#   utils/pbs.sh --mem 4gb --time 2:00:00 JOB=1:40 exp/log/x.JOB.log program --part JOB
# What a site needs besides comes from --queue and --submit-args (-A ACCOUNT, or another -l place=...). With --num-tasks R
# the job gets R chunks, for as many MPI ranks that `asrpar launch --learners R` starts.
# PBS sends no signal before the time limit: utils/jobs/run_job.sh sends itself SIGUSR1 two minutes earlier, and hands it on
# to a command that handles it, as `asrpar launch` does. A job that was stopped so ends with exit code 138; with
# --requeue N this script submits it again, at most N times.
set -euo pipefail
# shellcheck source=utils/jobs/options.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/options.sh"
# shellcheck source=utils/jobs/submit.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/submit.sh"
# shellcheck disable=SC2034 # utils/jobs/submit.sh uses them
batch_system=PBS submit_program=qsub
parse_job_options "$@"
limit=''
if [[ -n $time_limit ]]; then
  limit=$(job_seconds "$time_limit")
  # shellcheck disable=SC2034 # utils/jobs/submit.sh uses it
  warn_after=$((limit > 240 ? limit - 120 : limit / 2))
elif ((${requeue:-0} > 0)); then
  printf '%s: without --time nobody here knows when the queue ends a job: it cannot save before, and is not queued again then\n' \
    "${0##*/}" >&2
fi

add_options() { # OUTPUT
  local name=${1##*/} chunk="$num_tasks:ncpus=$num_threads:mpiprocs=1:ompthreads=$num_threads"
  ((gpu == 0)) || chunk+=":ngpus=$gpu"
  [[ -z $mem ]] || chunk+=":mem=$(with_b "$mem")"
  name=${name//[^A-Za-z0-9_.-]/_}
  [[ $name == [A-Za-z]* ]] || name=j$name
  options=(-N "${name::15}" -S /bin/bash -V -j oe -l "select=$chunk")
  if ((${#numbers[@]} > 1)); then
    options+=(-J "1-${#numbers[@]}${max_jobs_run:+%$max_jobs_run}" -o "$(absolute "$1").^array_index^.out")
  else
    options+=(-o "$(absolute "$1").${numbers[0]}.out")
  fi
  [[ -z $limit ]] || options+=(-l "$(printf 'walltime=%d:%02d:%02d' $((limit / 3600)) $((limit / 60 % 60)) $((limit % 60)))")
  [[ -z $queue ]] || options+=(-q "$queue")
  [[ -z $requeue ]] || options+=(-r "$( ((requeue > 0)) && echo y || echo n)")
  options+=("${submit_args[@]}")
}

absolute() {
  [[ $1 == /* ]] && echo "$1" || echo "$PWD/$1"
}

with_b() { # SIZE: 4G is 4gb here, and 4000 would be bytes: they are megabytes, as under Slurm
  local size=${1,,}
  [[ $size == *[0-9] ]] && size+=m
  [[ $size == *[kmgt] ]] && size+=b
  echo "$size"
}

directives() {
  print_directives '#PBS' "${options[@]}"
}

number_lines() { # ranges begin at 1 here, and one job is no array
  printf 'numbers=(%s)\n' "${numbers[*]}"
  # shellcheck disable=SC2016 # the job expands it
  echo 'number=${numbers[${PBS_ARRAY_INDEX:-1} - 1]}'
}

submit() { # SCRIPT
  qsub "${options[@]}" "$1"
}

unfinished() { # ID
  local said
  said=$(qstat "$1" 2>&1) && return 0
  [[ ${said,,} != *"unknown job"* && ${said,,} != *"has finished"* ]] || return 1
  return 2
}

cancel() { # ID
  qdel "$1"
}

run_jobs
