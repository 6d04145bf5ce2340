# shellcheck shell=bash
# To be sourced by a script that starts asrpar commands which are not to outlive it.

# end_with_me: asrpar commands that are started from now on end with this script, however it ends, SIGKILL included. What
# else is started is as any program that a shell starts.
end_with_me() {
  local stat='' host='' words=() me=$$
  # The number alone may be another's by the time somebody looks, or that of another host.
  if { read -r stat <"/proc/$$/stat" && read -r host </proc/sys/kernel/hostname; } 2>/dev/null; then
    read -r -a words <<<"${stat##*) }"
    me+=@${words[19]}@${words[3]}@$(readlink /proc/self/ns/pid)@$host
  fi
  export ASRPAR_END_WITH="${ASRPAR_END_WITH:+$ASRPAR_END_WITH }$me"
}
