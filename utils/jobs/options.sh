# shellcheck shell=bash
# Arguments that all job launchers share; sourced by utils/{local,slurm,pbs,lsf}.sh.
# Sets: mem num_threads num_tasks gpu max_jobs_run time_limit queue requeue retries dry_run submit_args job_name first
# last log command.

# shellcheck disable=SC2034 # the launchers use them
mem='' num_threads='' num_tasks=1 gpu=0 max_jobs_run='' time_limit='' queue='' requeue='' retries='' dry_run='' submit_args=()
# shellcheck disable=SC2034
job_name='' first=1 last=1
# shellcheck disable=SC2034
jobs_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

job_die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

job_usage="usage: ${0##*/} [--mem 4G] [--num-threads T] [--num-tasks R] [--gpu G] [--max-jobs-run M] [--time HH:MM:SS]
    [--queue Q] [--requeue N] [--retries N] [--submit-args '...'] [--dry-run] [JOB=1:N] LOG COMMAND [ARGS]...
Runs COMMAND once for each number, which takes the place of the word JOB in LOG and ARGS; ends with 1 if a job failed.
--num-threads [OMP_NUM_THREADS, or 1] and --gpu are for each of the --num-tasks tasks of a job. --mem is for a node under
Slurm, for each task under PBS, as the site says under LSF. --max-jobs-run: jobs of an array that run at the same time.
--dry-run prints the script, and stops.
--requeue: so often a job that was stopped by its time limit, or lost with its node, is queued again [0].
--retries: so often jobs that failed run again, alone [1, unless all failed].
utils/local.sh heeds none of these two, nor --mem, --gpu, --time, --queue and --submit-args."

job_whole() { # OPTION VALUE LEAST
  # Bash takes 010 for eight, 08 for an error and too many digits for something else.
  [[ $2 =~ ^(0|[1-9][0-9]{0,8})$ && $2 -ge $3 ]] || job_die "$1 $2: expected a whole number of at least $3"
}

job_words() { # TEXT: set submit_args to its words, quoted as for a shell, of which nothing else is expanded
  local said
  said=$(xargs -r printf '%s\n' <<<"$1" 2>/dev/null) || job_die "--submit-args $1: a quote is not closed"
  submit_args=()
  [[ -z $said ]] || mapfile -t submit_args <<<"$said"
}

parse_job_options() {
  while [[ ${1-} == --* ]]; do
    case $1 in
      --help) echo "$job_usage" && exit 0 ;;
      --dry-run) dry_run=yes && shift && continue ;;
    esac
    (($# > 1)) || job_die "$1: a value is missing"
    case $1 in
      --mem) mem=$2 ;;
      --num-threads) job_whole "$1" "$2" 1 && num_threads=$2 ;;
      --num-tasks) job_whole "$1" "$2" 1 && num_tasks=$2 ;;
      --gpu) job_whole "$1" "$2" 0 && gpu=$2 ;;
      --max-jobs-run) job_whole "$1" "$2" 1 && max_jobs_run=$2 ;;
      --time) time_limit=$2 ;;
      --queue) queue=$2 ;;
      --requeue) job_whole "$1" "$2" 0 && requeue=$2 ;;
      --retries) job_whole "$1" "$2" 0 && retries=$2 ;;
      --submit-args) job_words "$2" ;;
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
    [[ $first =~ ^[1-9][0-9]{0,8}$ && $last =~ ^[1-9][0-9]{0,8}$ && $first -le $last ]] ||
      job_die "$1: expected FIRST:LAST with 1 <= FIRST <= LAST"
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

job_seconds() { # TIME: seconds of a time limit as Slurm writes it: [DAYS-]HH:MM:SS, MM:SS, MM, DAYS-HH[:MM]
  local days=0 h=0 m=0 s=0 parts
  [[ $1 =~ ^([0-9]{1,6}-)?[0-9]{1,6}(:[0-9]{1,6}){0,2}$ && $1 == *[1-9]* ]] || job_die "--time $1: expected HH:MM:SS"
  [[ $1 != *-* ]] || days=${1%%-*}
  IFS=: read -r -a parts <<<"${1#*-}"
  if [[ $1 == *-* ]]; then
    h=${parts[0]} m=${parts[1]:-0} s=${parts[2]:-0}
  else
    case ${#parts[@]} in
      1) m=${parts[0]} ;;
      2) m=${parts[0]} s=${parts[1]} ;;
      3) h=${parts[0]} m=${parts[1]} s=${parts[2]} ;;
    esac
  fi
  echo $((((10#$days * 24 + 10#$h) * 60 + 10#$m) * 60 + 10#$s))
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
