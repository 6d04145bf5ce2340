# shellcheck shell=bash disable=SC2034,SC2154 # options.sh and the scheduler's file set and use variables
# Jobs of a batch system: write their script, submit it, wait for its end; sourced by utils/{slurm,pbs,lsf}.sh, which
# then call `run_jobs`. Each of these defines for its own system
#
#   submit_program            the program that submits
#   add_options OUTPUT        put into `options` what it takes, for the jobs ${numbers[@]}, whose own output goes to OUTPUT
#   directives                print `options` as lines of the script
#   number_lines              print what sets `number` in the script
#   submit SCRIPT             submit it with `options`, print the job's id
#   unfinished ID             0: a job of it waits or runs; 1: all have ended; 2: the batch system does not answer
#   cancel ID
#
# and, where the jobs queue themselves again, queues_itself=yes.

# shellcheck source=utils/jobs/logs.sh
. "$(dirname "${BASH_SOURCE[0]}")/logs.sh"
queues_itself='' job_lines='' warn_after='' job_id='' sleeping='' options=() numbers=()

run_jobs() {
  local i folder base script
  # Of a job that this script runs in: it hands its environment on to the new one, which would take them for its own.
  unset SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID SLURM_RESTART_COUNT PBS_ARRAY_INDEX LSB_JOBINDEX
  [[ -n $dry_run ]] || command -v "$submit_program" >/dev/null ||
    job_die "no $submit_program on PATH: this is not a $batch_system machine (utils/local.sh runs jobs here)"
  for ((i = first; i <= last; i++)); do
    numbers+=("$i")
  done
  # The batch script and the system's own output lie beside the logs, and say what was submitted.
  folder=$(dirname "$(job_log "$first")")/q
  base=$(basename "$log" .log)
  script=$folder/$base.sh
  if [[ -n $dry_run ]]; then
    make_script
    return
  fi
  if [[ -s $script.id ]] && unfinished "$(<"$script.id")" 2>/dev/null; then
    job_die "job $(<"$script.id") of the same log is still queued or running: wait for it, or cancel it"
  fi
  clear_logs
  mkdir -p "$folder"
  while true; do
    submit_script
    wait_for_jobs
    judge_logs "$(seconds_late)" "${numbers[@]}"
    choose_again || break
  done
  rm -f "$script.id"
  tell_of_ends
}

make_script() { # print the script of the jobs ${numbers[@]}
  options=()
  add_options "$folder/$base"
  echo '#!/usr/bin/env bash'
  directives
  printf '%s\n' "# Written by utils/${0##*/}. Options on its command line go before these."
  printf 'cd %q || exit 1\n' "$PWD"
  printf 'export OMP_NUM_THREADS=%d%s%s\n' "$num_threads" \
    "${requeue:+ ASRPAR_JOB_REQUEUE=$requeue}" "${warn_after:+ ASRPAR_JOB_WARN_AFTER=$warn_after}"
  [[ -z $job_lines ]] || printf '%s\n' "$job_lines"
  number_lines
  # shellcheck disable=SC2016 # the job expands it
  printf 'exec %s"$number" %s\n' "$(printf '%q ' "$jobs_folder/run_job.sh" "$job_name")" \
    "$(printf '%q ' "$log" "${command[@]}")"
}

submit_script() {
  local new=$script.$HOSTNAME.$$ code=0 # of its own, if the same is submitted twice at once
  make_script >"$new"
  mv -f "$new" "$script"
  stop_with cancel_jobs
  job_id=$(submit "$script") || code=$?
  [[ $code == 0 && -n $job_id ]] ||
    job_die "$submit_program refused the jobs (exit code $code); the script was $script"
  printf '%s\n' "$job_id" >"$script.id"
}

cancel_jobs() {
  [[ -z $sleeping ]] || kill "$sleeping" 2>/dev/null || true
  [[ -z $job_id ]] || { cancel "$job_id" >/dev/null && rm -f "$script.id"; }
}

wait_for_jobs() { # however often they are queued again
  local code pause=1 silent=''
  while true; do
    code=0
    unfinished "$job_id" || code=$?
    ((code != 1)) || return 0
    if ((code == 2)) && [[ -z $silent ]]; then
      silent=yes
      printf '%s: %s does not answer about job %s; asking on\n' "${0##*/}" "$batch_system" "$job_id" >&2
    fi
    sleep "$pause" & # a signal ends `wait` at once
    sleeping=$!
    wait "$sleeping" || true
    pause=$((pause < 10 ? pause + 1 : 10))
  done
}

seconds_late() { # how long ends of logs may not be seen, written on another host
  case $(stat --file-system --format=%T "$folder" 2>/dev/null) in
    ext2/ext3 | xfs | tmpfs | btrfs | overlayfs | zfs) echo 2 ;;
    *) echo 30 ;;
  esac
}

declare -A job_requeues=() job_retries=()
# choose_again: set `numbers` to the jobs that are to be submitted again, each with a line in its log; 1 if there are none.
choose_again() {
  local i end again=() failed=0 most=${retries:-1}
  for i in "${numbers[@]}"; do
    [[ ! ${job_ends[$i]} =~ [a-z] ]] || failed=$((failed + 1))
  done
  # One fault in all of them is none of a node. Who says how often, has said it.
  [[ -n $retries ]] || ((failed < ${#numbers[@]})) || most=0
  for i in "${numbers[@]}"; do
    end=${job_ends[$i]}
    # What has never started was cancelled; so was what was stopped by SIGTERM.
    [[ -n $end && -s $(job_log "$i") ]] || continue
    if [[ $end == 138 || $end == 140 || $end == killed* && -n $requeue ]]; then
      [[ -z $queues_itself ]] || continue
      ((${job_requeues[$i]:-0} < ${requeue:-0})) || continue
      job_requeues[$i]=$((${job_requeues[$i]:-0} + 1))
      printf '# queued again, %d of at most %d times\n' "${job_requeues[$i]}" "$requeue" >>"$(job_log "$i")"
    elif [[ $end =~ [a-z] ]]; then
      ((${job_retries[$i]:-0} < most)) || continue
      job_retries[$i]=$((${job_retries[$i]:-0} + 1))
      printf '# failed, runs again: %d of at most %d times\n' "${job_retries[$i]}" "$most" >>"$(job_log "$i")"
      printf '%s: job %d failed (%s), and runs again\n' "${0##*/}" "$i" "$end" >&2
    else
      continue
    fi
    again+=("$i")
  done
  ((${#again[@]})) || return 1
  numbers=("${again[@]}")
}

number_list() { # ${numbers[@]} as FIRST-LAST, or with commas
  if ((${numbers[-1]} - numbers[0] + 1 == ${#numbers[@]})); then
    printf '%s-%s' "${numbers[0]}" "${numbers[-1]}"
  else
    (IFS=, && printf '%s' "${numbers[*]}")
  fi
}

print_directives() { # WORD OPTION...: those that begin with a dash begin a line
  local word=$1 option line=''
  shift
  for option in "$@"; do
    if [[ $option == -* && -n $line ]]; then
      printf '%s%s\n' "$word" "$line"
      line=''
    fi
    [[ $option =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || option="\"$option\""
    line+=" $option"
  done
  [[ -z $line ]] || printf '%s%s\n' "$word" "$line"
}
