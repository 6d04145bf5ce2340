# shellcheck shell=bash
# Arguments that all job launchers share; sourced by utils/{local,slurm}.sh.
#   [--mem 4G] [--num-threads T] [--num-tasks R] [--gpu G] [--max-jobs-run M] [--time HH:MM:SS] [--queue Q]
#   [--submit-args "..."] [JOB=FIRST:LAST] LOG COMMAND [ARGS]...
# Sets: mem num_threads num_tasks gpu max_jobs_run time_limit queue submit_args job_name first last log command.

# shellcheck disable=SC2034 # the launchers use them
mem='' num_threads='' num_tasks=1 gpu=0 max_jobs_run='' time_limit='' queue='' submit_args=()
# shellcheck disable=SC2034
job_name='' first=1 last=1
# shellcheck disable=SC2034
jobs_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

job_die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

job_usage="usage: ${0##*/} [--mem 4G] [--num-threads T] [--num-tasks R] [--gpu G] [--max-jobs-run M] [--time HH:MM:SS]
    [--queue Q] [--submit-args '...'] [JOB=1:N] LOG COMMAND [ARGS]...
Runs COMMAND once for each number, which takes the place of the word JOB in LOG and ARGS; ends with 1 if a job failed.
--num-threads [OMP_NUM_THREADS, or 1] and --gpu are for each of the --num-tasks tasks of a job, --mem is for a node."

job_whole() { # OPTION VALUE LEAST
  [[ $2 =~ ^[0-9]+$ && $2 -ge $3 ]] || job_die "$1 $2: expected a whole number of at least $3"
}

parse_job_options() {
  while [[ ${1-} == --* ]]; do
    [[ $1 == --help ]] && { echo "$job_usage"; exit 0; }
    (($# > 1)) || job_die "$1: a value is missing"
    case $1 in
      --mem) mem=$2 ;;
      --num-threads) job_whole "$1" "$2" 1 && num_threads=$2 ;;
      --num-tasks) job_whole "$1" "$2" 1 && num_tasks=$2 ;;
      --gpu) job_whole "$1" "$2" 0 && gpu=$2 ;;
      --max-jobs-run) job_whole "$1" "$2" 1 && max_jobs_run=$2 ;;
      --time) time_limit=$2 ;;
      --queue) queue=$2 ;;
      --submit-args) read -r -a submit_args <<<"$2" ;;
      *) job_die "unknown option $1 (--help lists them)" ;;
    esac
    shift 2
  done
  if [[ -z $num_threads ]]; then # a list is one of nested loops
    num_threads=${OMP_NUM_THREADS-}
    num_threads=${num_threads%%,*}
    [[ $num_threads =~ ^[1-9][0-9]*$ ]] || num_threads=1
  fi
  if [[ ${1-} =~ ^([A-Za-z_][A-Za-z0-9_]*)=([0-9]+)(:([0-9]+))?$ ]]; then
    job_name=${BASH_REMATCH[1]} first=${BASH_REMATCH[2]} last=${BASH_REMATCH[4]:-${BASH_REMATCH[2]}}
    ((first >= 1 && first <= last)) || job_die "$1: expected FIRST:LAST with 1 <= FIRST <= LAST"
    shift
  fi
  (($# >= 2)) || job_die "a log file and a command are needed"$'\n'"$job_usage"
  log=$1
  shift
  command=("$@")
  if [[ -n $job_name && $log != *"$job_name"* ]] && ((last > first)); then
    job_die "the log file $log must contain $job_name, or the jobs would write to the same one"
  fi
}

job_log() { # NUMBER: the log of one job
  if [[ -n $job_name ]]; then
    printf '%s\n' "${log//"$job_name"/$1}"
  else
    printf '%s\n' "$log"
  fi
}

clear_logs() { # the end of an earlier run must not be taken for the end of this one
  local i file
  for ((i = first; i <= last; i++)); do
    file=$(job_log "$i")
    mkdir -p "$(dirname "$file")"
    if [[ -L $file && -f $file ]]; then
      : >"$file" # a link stays
    elif [[ -f $file ]]; then
      rm -f "$file" # and no device, such as /dev/stdout
    fi
  done
}

# A network file system may show the end of a log some seconds late: wait that long before calling a job failed.
# A job that was asked to stop, by its time limit or a signal, and did, has not failed: the same command goes on with it.
check_logs() { # SECONDS_TO_WAIT: name the jobs that have not ended well; 1 if one failed, else the exit code of a stop
  local i file end failed=0 stopped=0 deadline=$((SECONDS + $1))
  for ((i = first; i <= last; i++)); do
    file=$(job_log "$i")
    while true; do
      end=$(tail -n 1 "$file" 2>/dev/null) || end=''
      [[ $end == '# ended: exit code '* ]] && break
      ((SECONDS < deadline)) || break
      sleep 0.5
    done
    [[ $end == '# ended: exit code 0,'* ]] && continue
    if [[ $end =~ ^'# ended: exit code '(129|130|131|138|140|143)',' ]]; then
      stopped=${BASH_REMATCH[1]}
      printf '%s: job %d was stopped by SIG%s, as at the end of its time, and the same command goes on; its log: %s\n' \
        "${0##*/}" "$i" "$(kill -l $((stopped - 128)))" "$file" >&2
      continue
    fi
    failed=$((failed + 1))
    case $end in
      '# ended: '*) end=${end#'# ended: '} && end=${end%%,*} ;;
      *) end='killed, or never started' ;;
    esac
    if ((failed <= 10)); then
      printf '%s: error: job %d failed (%s); its log: %s\n' "${0##*/}" "$i" "$end" "$file" >&2
    fi
  done
  if ((failed > 0)); then
    printf '%s: error: %d of %d jobs failed\n' "${0##*/}" "$failed" "$((last - first + 1))" >&2
    return 1
  fi
  return "$stopped"
}

# stop_with FUNCTION: how this script ends when it is asked to; FUNCTION ends the jobs first.
stop_with() {
  # shellcheck disable=SC2064 # the name, now
  trap "stop_now $1 129" HUP
  # shellcheck disable=SC2064
  trap "stop_now $1 130" INT
  # shellcheck disable=SC2064
  trap "stop_now $1 143" TERM
}

stop_now() { # FUNCTION EXIT_CODE
  trap '' HUP INT TERM # schedulers and terminals may send it twice
  "$1" || true
  exit "$2"
}
