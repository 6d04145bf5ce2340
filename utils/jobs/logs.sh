# shellcheck shell=bash disable=SC2154 # options.sh sets first, last, log
# The logs of jobs, by whose last lines they are judged; sourced by utils/{local,slurm,pbs,lsf}.sh behind options.sh.

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

# What became of each job: '' if it ended well, the exit code of a stop, or in words how it failed.
declare -A job_ends=()

# A network file system may show the end of a log some seconds late: wait that long before calling a job failed.
# A job that was asked to stop, by its time limit or a signal, and did, has not failed: the same command goes on with it.
judge_logs() { # SECONDS_TO_WAIT NUMBER...: set job_ends of these jobs
  local i file end deadline=$((SECONDS + $1))
  for i in "${@:2}"; do
    file=$(job_log "$i")
    while true; do
      end=$(tail -n 1 "$file" 2>/dev/null) || end=''
      [[ $end == '# ended: exit code '* ]] && break
      ((SECONDS < deadline)) || break
      sleep 0.5
    done
    if [[ $end == '# ended: exit code 0,'* ]]; then
      job_ends[$i]=''
    elif [[ $end =~ ^'# ended: exit code '(129|130|131|138|140|143)',' ]]; then
      job_ends[$i]=${BASH_REMATCH[1]}
    elif [[ $end == '# ended: '* ]]; then
      end=${end#'# ended: '}
      job_ends[$i]=${end%%,*}
    else
      job_ends[$i]='killed, or never started'
    fi
  done
}

tell_of_ends() { # name the jobs that have not ended well; 1 if one failed, else the exit code of a stop
  local i end failed=0 stopped=0
  for ((i = first; i <= last; i++)); do
    end=${job_ends[$i]-}
    if [[ $end =~ ^[0-9]+$ ]]; then
      stopped=$end
      printf '%s: job %d was stopped by SIG%s, as at the end of its time, and the same command goes on; its log: %s\n' \
        "${0##*/}" "$i" "$(kill -l $((stopped - 128)))" "$(job_log "$i")" >&2
    elif [[ -n $end ]]; then
      failed=$((failed + 1))
      ((failed > 10)) || printf '%s: error: job %d failed (%s); its log: %s\n' "${0##*/}" "$i" "$end" "$(job_log "$i")" >&2
    fi
  done
  if ((failed > 0)); then
    printf '%s: error: %d of %d jobs failed\n' "${0##*/}" "$failed" "$((last - first + 1))" >&2
    return 1
  fi
  return "$stopped"
}
