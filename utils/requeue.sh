#!/usr/bin/env bash
# For a Slurm script of your own: run a command that saves and stops at SIGUSR1, as `asrpar launch` does when it trains, and
# queue the job again each time it was stopped so, at most --times N times. The last line of the script:
#
#   #SBATCH --time=4:00:00 --requeue --open-mode=append --signal=B:USR1@120
#   exec utils/requeue.sh --times 5 asrpar launch --learners 64 -- train --config conf/train.yaml
#
# `exec`, because Slurm sends the signal to the script's own process. --open-mode=append keeps the output of all starts.
set -euo pipefail
utils=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=utils/common.sh
. "$utils/common.sh"
usage="usage: ${0##*/} --times N COMMAND [ARGS]..."
[[ ${1-} != --help ]] || { echo "$usage" && exit; }
[[ ${1-} == --times && ${2-} =~ ^(0|[1-9][0-9]{0,8})$ && $# -ge 3 ]] || die "$usage"
[[ -n ${SLURM_JOB_ID-} ]] || die "this is no job of Slurm: submit it with sbatch (utils/{pbs,lsf}.sh do it for PBS and LSF)"
times=$2
shift 2
ASRPAR_JOB_REQUEUE=$times exec "$utils/jobs/run_job.sh" '' 1 /dev/stdout "$@"
