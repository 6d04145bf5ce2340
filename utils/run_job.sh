#!/usr/bin/env bash
# Run one job of utils/{local,slurm}.sh: put its number in place of the variable's name, and keep its log.
# Usage: run_job.sh NAME NUMBER LOG COMMAND [ARGS]...     (NAME is empty for a job without a number)
# The log begins with the command and the time, and ends with `# ended: exit code N, ...`; a log without that last line
# belongs to a job that was killed.
set -uo pipefail

name=$1 number=$2 log=$3
shift 3
words=("$@")
if [[ -n $name ]]; then
  log=${log//"$name"/$number}
  words=("${words[@]//"$name"/$number}")
fi
mkdir -p "$(dirname "$log")" || exit 1
{
  printf '# command: %s\n' "$(printf '%q ' "${words[@]}")"
  printf '# started: %s on %s, OMP_NUM_THREADS %s\n' "$(date '+%F %T %z')" "$(uname -n)" "${OMP_NUM_THREADS:-not set}"
} >"$log" || exit 1
start=$SECONDS
"${words[@]}" >>"$log" 2>&1 </dev/null
code=$?
printf '# ended: exit code %d, %s, after %d s\n' "$code" "$(date '+%F %T %z')" "$((SECONDS - start))" >>"$log"
exit "$code"
