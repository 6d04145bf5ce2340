#!/usr/bin/env bash
# Run jobs under Slurm, several as one array, and wait for them.
#   utils/slurm.sh --mem 4G --time 2:00:00 JOB=1:40 exp/log/x.JOB.log program --part JOB
# What a site needs besides (partition, account) comes from --queue, --submit-args or sbatch's own SBATCH_* variables.
# With --num-tasks R the job gets room for R MPI ranks, to be started by `asrpar launch --learners R`. --gpu G is for each
# of these tasks: R tasks get R x G GPUs, however many nodes they lie on.
# Two minutes before the time limit Slurm sends SIGUSR1, which utils/jobs/run_job.sh hands on to a command that handles it, as
# `asrpar launch` does: the learners save and stop, and the job ends with exit code 138, as does this script. The same
# command then goes on; with --requeue N the job queues itself again, at most N times, and this script waits through it.
set -euo pipefail
# shellcheck source=utils/jobs/options.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/options.sh"
# shellcheck source=utils/jobs/submit.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/submit.sh"
# shellcheck disable=SC2034 # utils/jobs/submit.sh uses them
batch_system=Slurm submit_program=sbatch queues_itself=yes
parse_job_options "$@"

if ((gpu > 0 && num_tasks > 1)); then
  # A step takes over the job's wish for each task, and mpirun starts a step of one task on each node: its ranks would
  # share that one's GPUs. With this each step has all GPUs of the job, and `asrpar train` chooses by local rank.
  # shellcheck disable=SC2034
  job_lines="unset SLURM_GPUS_PER_TASK SLURM_TRES_PER_TASK; export SLURM_GPUS=$((num_tasks * gpu))"
fi

add_options() { # OUTPUT
  options=(--job-name="${1##*/}" --ntasks="$num_tasks" --cpus-per-task="$num_threads" --open-mode=append)
  if ((${#numbers[@]} > 1)); then
    options+=(--array="$(number_list)${max_jobs_run:+%$max_jobs_run}" --output="$1.%a.out")
  else
    options+=(--output="$1.${numbers[0]}.out")
  fi
  [[ -z $mem ]] || options+=(--mem="$mem")
  [[ -z $time_limit ]] || options+=(--time="$time_limit")
  [[ -z $queue ]] || options+=(--partition="$queue")
  if ((gpu > 0 && num_tasks > 1)); then
    options+=(--gpus-per-task="$gpu")
  elif ((gpu > 0)); then
    options+=(--gres="gpu:$gpu")
  fi
  # A partition has a limit of its own, too.
  [[ -z $time_limit && $num_tasks == 1 && ${requeue:-0} == 0 ]] || options+=(--signal=B:USR1@120)
  [[ -z $requeue ]] || options+=("$( ((requeue > 0)) && echo --requeue || echo --no-requeue)")
  options+=("${submit_args[@]}")
}

directives() {
  print_directives '#SBATCH' "${options[@]}"
}

number_lines() {
  # shellcheck disable=SC2016 # the job expands it
  printf 'number=${SLURM_ARRAY_TASK_ID:-%d}\n' "${numbers[0]}"
}

submit() { # SCRIPT
  sbatch --parsable "${options[@]}" "$1"
}

clusters=()
of_cluster() { # ID[;CLUSTER]: set `clusters` to the option that names it
  clusters=()
  [[ $1 != *\;* ]] || clusters=(--clusters="${1#*;}")
}

unfinished() { # ID
  local said
  of_cluster "$1"
  if said=$(squeue --noheader "${clusters[@]}" --jobs="${1%%;*}" 2>&1); then
    [[ $said == *[0-9]* ]]
  elif [[ $said == *"Invalid job id"* ]]; then
    return 1 # so long ago that Slurm has forgotten it
  else
    return 2
  fi
}

cancel() { # ID
  of_cluster "$1"
  scancel "${clusters[@]}" "${1%%;*}"
}

run_jobs
