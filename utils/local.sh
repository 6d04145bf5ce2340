#!/usr/bin/env bash
# Run jobs on this machine, as many at a time as there are cores for (or --max-jobs-run).
#   utils/local.sh JOB=1:4 exp/log/x.JOB.log program --part JOB
set -euo pipefail
# shellcheck source=utils/jobs/options.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/options.sh"
# shellcheck source=utils/jobs/logs.sh
. "$jobs_folder/logs.sh"
# shellcheck source=utils/around.sh
. "$jobs_folder/../around.sh"
parse_job_options "$@"
if [[ -n $dry_run ]]; then
  for ((i = first; i <= last; i++)); do
    printf '%q ' "$jobs_folder/run_job.sh" "$job_name" "$i" "$log" "${command[@]}"
    echo
  done
  exit
fi
clear_logs

at_once=${max_jobs_run:-$(($(env -u OMP_NUM_THREADS nproc) / (num_threads * num_tasks)))}
((at_once >= 1)) || at_once=1
export OMP_NUM_THREADS=$num_threads
end_with_me

set -m # each job is a process group of its own, which can be ended as a whole
end_groups() {
  local pid
  exec 2>/dev/null # bash would tell of each job that it ended
  for pid in $(jobs -p); do
    kill -TERM -- "-$pid" 2>/dev/null || true
  done
  wait
}
stop_with end_groups

running=0
for ((i = first; i <= last; i++)); do
  if ((running >= at_once)); then
    wait -n || true # its log says how it ended
    running=$((running - 1))
  fi
  "$jobs_folder/run_job.sh" "$job_name" "$i" "$log" "${command[@]}" &
  running=$((running + 1))
done
wait || true
for ((i = first; i <= last; i++)); do
  judge_logs 0 "$i"
done
tell_of_ends
