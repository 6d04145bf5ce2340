#!/usr/bin/env bash
# Run jobs under Slurm as one array, and wait for them.
#   utils/slurm.sh --mem 4G --time 2:00:00 JOB=1:40 exp/log/x.JOB.log program --part JOB
# What a site needs besides (partition, account) comes from --queue, --submit-args or sbatch's own SBATCH_* variables.
# With --num-tasks R the job gets room for R MPI ranks, to be started by `asrpar launch --learners R`. --gpu G is for each
# of these tasks: R tasks get R x G GPUs, however many nodes they lie on.
# Two minutes before the time limit Slurm sends SIGUSR1, which utils/jobs/run_job.sh hands on to a command that handles it, as
# `asrpar launch` does: the learners save and stop, and the job ends with exit code 138, as does this script. The same command then goes on.
set -euo pipefail
# shellcheck source=utils/jobs/options.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs/options.sh"
parse_job_options "$@"
command -v sbatch >/dev/null || job_die "no sbatch on PATH: this is not a Slurm machine (utils/local.sh runs jobs here)"
clear_logs

# The batch script and Slurm's own output lie beside the logs, and say what was submitted.
folder=$(dirname "$(job_log "$first")")/q
mkdir -p "$folder"
base=$(basename "$log" .log)
script=$folder/$base.sh
steps=''
if ((gpu > 0 && num_tasks > 1)); then
  # A step takes over the job's wish for each task, and mpirun starts a step of one task on each node: its ranks would
  # share that one's GPUs. With this each step has all GPUs of the job, and `asrpar train` chooses by local rank.
  steps="unset SLURM_GPUS_PER_TASK SLURM_TRES_PER_TASK; export SLURM_GPUS=$((num_tasks * gpu))"
fi
new=$script.$HOSTNAME.$$ # of its own, if the same is submitted twice at once
cat >"$new" <<SCRIPT
#!/usr/bin/env bash
cd $(printf %q "$PWD") || exit 1
export OMP_NUM_THREADS=$num_threads
$steps
exec $(printf '%q ' "$jobs_folder/run_job.sh" "$job_name") "\${SLURM_ARRAY_TASK_ID:-1}" $(printf '%q ' "$log" "${command[@]}")
SCRIPT
mv -f "$new" "$script"

options=(--parsable --wait --job-name="$base" --ntasks="$num_tasks" --cpus-per-task="$num_threads")
options+=(--array="$first-$last${max_jobs_run:+%$max_jobs_run}" --output="$folder/$base.%a.out")
[[ -n $mem ]] && options+=(--mem="$mem")
[[ -n $time_limit ]] && options+=(--time="$time_limit")
[[ -n $queue ]] && options+=(--partition="$queue")
if ((gpu > 0 && num_tasks > 1)); then
  options+=(--gpus-per-task="$gpu")
elif ((gpu > 0)); then
  options+=(--gres="gpu:$gpu")
fi
[[ -n $time_limit || $num_tasks -gt 1 ]] && options+=(--signal=B:USR1@120)

id_file=$script.id
: >"$id_file"
sbatch "${options[@]}" "${submit_args[@]}" "$script" >"$id_file" &
submitted=$!
cancel() {
  local id
  id=$(cut -d';' -f1 "$id_file")
  [[ -z $id ]] || scancel "$id"
}
stop_with cancel
code=0
wait "$submitted" || code=$?
[[ -s $id_file ]] || job_die "sbatch refused the jobs (exit code $code); the script was $script"
# sbatch ends with the highest exit code of the jobs, so the logs need not be waited for when it is not 0.
check_logs "$((code == 0 ? 30 : 2))"
