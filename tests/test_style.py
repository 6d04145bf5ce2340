"""Style, and things that must not be in the source: shells, pickles, executing YAML, paths of one machine."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# Built or downloaded, not part of the source.
SKIP = {".venv", ".git", "build", "dist", "exp", "download", "__pycache__", "bench-results"}


def sources() -> list[Path]:
    """Files that are (or would be) committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        names = {REPO / name for name in listed.stdout.split("\0") if name}
    else:
        names = {p for p in REPO.rglob("*") if not SKIP & set(p.relative_to(REPO).parts)}
    return sorted(p for p in names if p.is_file())


SOURCES = sources()
PYTHON = [p for p in SOURCES if p.suffix == ".py"]
SHELL = [p for p in SOURCES if p.suffix == ".sh" or p == REPO / ".ci" / "run"]
TEXT = [p for p in SOURCES if p.suffix in {".py", ".sh", ".md", ".cfg", ".toml", ".txt", ".yaml", ".yml", ""}]


def tool(name: str, *args: str) -> None:
    program = BIN / name
    if not program.exists():
        pytest.skip(f"{name} is not installed (pip install -e .[dev])")
    done = subprocess.run([str(program), *args], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_ruff_check():
    tool("ruff", "check", *map(str, PYTHON))


def test_ruff_format():
    tool("ruff", "format", "--check", *map(str, PYTHON))


def test_shellcheck():
    tool("shellcheck", *[str(p.relative_to(REPO)) for p in SHELL])


@pytest.mark.parametrize("path", SHELL, ids=lambda p: str(p.relative_to(REPO)))
def test_scripts_stop_at_the_first_error(path):
    text = path.read_text()
    if text.startswith("#!"):
        assert path.stat().st_mode & 0o100, "has a #! line and is not executable"
        assert "set -euo pipefail" in text or path.name == "run_job.sh"  # which must outlive its command's failure
    else:
        assert text.startswith("# shellcheck shell=bash"), "is neither executable nor marked as sourced"


def test_no_recordings_among_the_sources():
    # What a test needs it makes; a file that a program left in the tree is not to be committed.
    sound = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph", ".au", ".aiff", ".caf", ".w64", ".voc", ".sd2", ".htk"}
    assert [str(p.relative_to(REPO)) for p in SOURCES if p.suffix in sound] == []


def findings(pattern: str, files: list[Path]) -> list[str]:
    found = []
    for path in files:
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(REPO)}:{number}: {line.strip()}")
    return found


def test_no_shell_from_python():
    assert findings(r"shell\s*=\s*True|os\.system\(|os\.popen\(", PYTHON) == []


def test_worker_processes_end_with_whoever_started_them():
    made = re.compile(r"ProcessPoolExecutor\(|get_context\(|\.Process\(|\bPool\(")
    code = [p for p in PYTHON if p.is_relative_to(REPO / "asrpar") and made.search(p.read_text(encoding="utf-8"))]
    assert code == [REPO / "asrpar" / "workers.py"]


def test_no_executing_yaml():
    assert findings(r"yaml\.(unsafe_|full_)?load\(|yaml\.UnsafeLoader|yaml\.Loader", PYTHON) == []


def test_no_pickles():
    assert findings(r"weights_only\s*=\s*False|allow_pickle\s*=\s*True|\bpickle\.loads?\(|joblib\.load", PYTHON) == []


def test_torch_load_says_weights_only():
    def unsafe(node: ast.AST) -> bool:
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"):
            return False
        return not any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)

    wrong = [
        f"{path.relative_to(REPO)}:{node.lineno}"
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if unsafe(node)
    ]
    assert wrong == []


def test_no_paths_of_one_machine():
    # Folders that exist on somebody's machine only; /usr, /tmp and /proc are everywhere.
    assert findings(r"(?<![\w.$}/])/(work|root|home|mnt|scratch|data\d?|Users)/\w", TEXT) == []


def test_no_package_index_but_the_public_pages_of_torch_and_k2():
    hosts = {
        host
        for path in TEXT
        if path.suffix in {".sh", ".txt", ".cfg", ".toml", ""}
        for host in re.findall(
            r"https?://([\w.-]+)[^\s\"']*(?:simple|whl|wheels?|cpu\.html|cuda\.html)", path.read_text()
        )
    }
    assert hosts <= {"download.pytorch.org", "k2-fsa.github.io"}


def test_constraints_are_exact_and_free_of_paths():
    lines = [x for x in (REPO / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
    assert [x for x in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*", x)] == []
    names = {re.split("==", x)[0].lower().replace("_", "-") for x in lines}
    required = re.findall(r"^    ([a-z][\w-]*)$", (REPO / "setup.cfg").read_text(), re.MULTILINE)
    assert set(required) - names <= {"asrpar", "k2", "py-spy"}


def test_files_have_one_subject():
    long = [
        f"{p.relative_to(REPO)}: {n} lines" for p in PYTHON if (n := len(p.read_text().splitlines())) > 450
    ]  # fmt: skip
    assert long == []


def test_public_methods_have_a_docstring_or_a_contract_that_has_it():
    """What ruff's D102 asks for, except that an override says no more than what it overrides."""
    classes: dict[str, list[ast.ClassDef]] = {}
    where: dict[ast.ClassDef, Path] = {}
    for path in PYTHON:
        if path.is_relative_to(REPO / "asrpar"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    classes.setdefault(node.name, []).append(node)
                    where[node] = path.relative_to(REPO)

    def inherited(node: ast.ClassDef, method: str, seen: set[str]) -> bool:
        """Whether a base documents the method, or is none of ours, as `torch.nn.Module`."""
        for base in (ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases):
            if base in ("ABC", "Protocol", "NamedTuple", "object") or base in seen:
                continue
            if base not in classes or any(documented(other, method, seen | {base}) for other in classes[base]):
                return True
        return False

    def documented(node: ast.ClassDef, method: str, seen: set[str]) -> bool:
        own = [f for f in node.body if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) and f.name == method]
        return any(ast.get_docstring(f) for f in own) or inherited(node, method, seen)

    missing = [
        f"{where[node]}:{f.lineno}: {node.name}.{f.name} has no docstring, nor has what it overrides"
        for nodes in classes.values()
        for node in nodes
        if not node.name.startswith("_")
        for f in node.body
        if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) and not f.name.startswith("_")
        # What `validate` of settings does is said in asrpar.config.
        if f.name != "validate" and not documented(node, f.name, {node.name})
        # The setter of a property.
        if not any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in f.decorator_list)
    ]
    assert missing == []
