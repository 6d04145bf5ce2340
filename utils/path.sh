# shellcheck shell=bash
# Where the programs are: the virtual environment that `make setup` made in $root, if there is one, else the PATH.
if [[ -x ${root:?}/.venv/bin/asrpar ]]; then
  PATH=$root/.venv/bin:$PATH
fi
export PATH LC_ALL=C.UTF-8
command -v asrpar >/dev/null || {
  if [[ -d $root/asrpar ]]; then
    echo "${0##*/}: error: asrpar is not installed: run 'make setup' in $root" >&2
  else
    echo "${0##*/}: error: there is no asrpar on the PATH: activate the environment that it is installed in" >&2
  fi
  exit 1
}
