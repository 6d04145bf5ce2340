#!/usr/bin/env bash
# Install the k2 that fits the torch of a Python environment. k2's wheels hold code compiled against one version of
# torch and one of Python; the one on PyPI fits none of today's, so they come from k2's own page.
#
#   tools/install_k2.sh              into .venv of this clone
#   tools/install_k2.sh --dry-run true
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

python=$root/.venv/bin/python  # interpreter of the environment
page=                          # list of wheels, URL or file; default k2's page for CPU or CUDA, as torch is built
k2_version=                    # part of a version such as 1.24.4; default the newest
dry_run=false                  # only say what would be installed
help_message="Usage: $0 [options]
Installs the k2 wheel for the torch of an environment, and checks that it can be imported."
# shellcheck source=utils/parse_options.sh
. "$root/utils/parse_options.sh"

die() {
  echo "install_k2.sh: error: $*" >&2
  exit 1
}

[[ -x $(command -v "$python") ]] || die "no Python $python: run make setup first, or name one with --python"
# One line: torch's version, its CUDA (cpu if none), tag of the interpreter, machine.
facts=$("$python" - <<'PYTHON'
import platform, sys
try:
    import torch
except ImportError as e:
    sys.exit(f"torch cannot be imported: {e}")
if torch.version.hip:
    sys.exit("this torch is built for ROCm: choose a wheel from k2's pages by hand")
tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
system = {"Linux": "linux", "Darwin": "macosx", "Windows": "win"}.get(platform.system(), "?")
print(torch.__version__.partition("+")[0], torch.version.cuda or "cpu", tag, system, platform.machine())
PYTHON
) || die "$python has no torch that k2 could use (make setup installs one)"
read -r torch cuda tag system machine <<<"$facts"

if [[ $cuda == cpu ]]; then
  build=cpu
  : "${page:=https://k2-fsa.github.io/k2/cpu.html}"
else
  build=cuda$cuda
  : "${page:=https://k2-fsa.github.io/k2/cuda.html}"
fi
echo "torch $torch ($build), Python $tag, $system $machine"

# The page is a list of links to wheels: k2-1.24.4.dev20250307+cpu.torch2.6.0-cp311-cp311-manylinux_..._x86_64.whl
list=$("$python" - "$page" <<'PYTHON'
import os, re, sys, urllib.parse, urllib.request
page = sys.argv[1]
if "://" not in page:
    page = "file://" + os.path.abspath(page)
try:
    with urllib.request.urlopen(page, timeout=30) as answer:
        text = urllib.parse.unquote(answer.read().decode("utf-8", "replace"))
except (OSError, ValueError) as e:
    sys.exit(f"install_k2.sh: error: cannot read {sys.argv[1]}: {getattr(e, 'reason', e)}; is there internet access?")
print("\n".join(sorted(set(re.findall(r"k2-[\w.+-]+\.whl", text)))))
PYTHON
) || exit 1
fitting=$(printf '%s\n' "$list" | grep -F -- "+$build.torch$torch-$tag-" | grep -F -- "$system" | grep -F -- "_$machine" || true)
wheel=$(printf '%s\n' "$fitting" | grep -F -- "k2-${k2_version}" | sort -V | tail -n 1 || true)
if [[ -z $wheel ]]; then
  known=$(printf '%s\n' "$list" | grep -F -- "-$tag-" | grep -oE '\+[a-z]+[0-9.]*\.torch[0-9.]+[0-9]' | sort -Vu | tail -n 5 | paste -sd ' ' || true)
  die "$page has no k2${k2_version:+ $k2_version} for $build, torch $torch, $tag, $system $machine (newest builds for $tag: ${known:-none})"
fi
version=${wheel#k2-}
version=${version%%-cp*}
command=("$python" -m pip install --disable-pip-version-check --no-deps "k2==$version" -f "$page")
echo "+ $(printf '%q ' "${command[@]}")"
if [[ $dry_run == true ]]; then
  exit 0
fi
"${command[@]}" || die "pip could not install k2 $version"
# k2's only dependency besides torch.
"$python" -c 'import graphviz' 2>/dev/null || "$python" -m pip install --disable-pip-version-check --quiet graphviz ||
  die "pip could not install graphviz, which k2 imports"
"$python" -c 'import k2; print("k2 works:", k2.__version__ if hasattr(k2, "__version__") else "?")' ||
  die "k2 $version is installed but cannot be imported; its message is above"
