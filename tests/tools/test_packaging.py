"""The definition file for Apptainer and the package for Spack: their syntax, and that nothing is missing in them."""

import ast
import re
import subprocess

import pytest
import yaml

# https://apptainer.org/docs/user/main/definition_files.html
SECTIONS = {
    *("setup", "files", "post", "test", "environment", "startscript", "runscript", "labels", "help", "arguments"),
}
SCRIPTS = {"post", "test", "environment", "runscript"}


@pytest.fixture(scope="module")
def definition(repo) -> tuple[dict[str, str], dict[str, str]]:
    """Header and sections."""
    header, sections, current = {}, {}, None
    for line in (repo / "packaging/asrpar.def").read_text(encoding="utf-8").splitlines():
        if line.startswith("%"):
            current = line[1:].strip()
            assert current in SECTIONS and current not in sections, line
            sections[current] = ""
        elif current is not None:
            sections[current] += f"{line}\n"
        elif line.strip() and not line.startswith("#"):
            key, colon, value = line.partition(": ")
            assert colon and value, line
            header[key] = value
    return header, sections


def test_the_definition_has_a_header_and_known_sections(definition):
    header, sections = definition
    assert header["Bootstrap"] == "docker" and re.fullmatch(r"[a-z]+:[\w.-]+", header["From"])
    assert {"files", "post", "environment", "runscript", "test", "labels", "help"} <= set(sections)
    arguments = {line.split("=")[0].strip() for line in sections["arguments"].splitlines() if "=" in line}
    assert set(re.findall(r"{{ *(\w+) *}}", "".join(sections.values()))) <= arguments


def test_the_scripts_of_the_definition_are_shell(definition):
    for name in SCRIPTS:
        done = subprocess.run(["sh", "-n"], input=definition[1][name], capture_output=True, text=True)
        assert done.returncode == 0, f"%{name}: {done.stderr}"


def test_the_files_of_the_definition_are_made_or_there(definition, repo):
    for line in definition[1]["files"].split("\n"):
        if line.strip():
            source, target = line.split()
            assert target.startswith("/opt/asrpar/")
            assert source == "dist/asrpar-*.whl" or (repo / source).exists()


@pytest.fixture(scope="module")
def package(repo) -> ast.ClassDef:
    folder = repo / "packaging/spack/spack_repo/asrpar"
    assert yaml.safe_load((folder / "repo.yaml").read_text())["repo"] == {"namespace": "asrpar", "api": "v2.0"}
    text = (folder / "packages/py_asrpar/package.py").read_text(encoding="utf-8")
    compile(text, "package.py", "exec")
    return ast.parse(text)


def calls(package, name) -> list[tuple[str, dict]]:
    body = next(node for node in package.body if isinstance(node, ast.ClassDef)).body
    found = [n.value for n in body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    return [
        (ast.literal_eval(call.args[0]), {k.arg: ast.literal_eval(k.value) for k in call.keywords})
        for call in found
        if call.func.id == name
    ]


def test_the_spack_package_has_what_packages_have(package):
    classes = [node for node in package.body if isinstance(node, ast.ClassDef)]
    assert [(c.name, [b.id for b in c.bases]) for c in classes] == [("PyAsrpar", ["PythonPackage"])]
    assert ast.get_docstring(classes[0])
    assert [name for name, _ in calls(package, "license")] == ["Apache-2.0"]
    assert calls(package, "version") and {"mpi", "python@3.11:"} <= {name for name, _ in calls(package, "depends_on")}
    assert all("type" in more for _, more in calls(package, "depends_on"))


def test_no_requirement_is_forgotten(package, repo):
    wheels = next(ast.literal_eval(n.value) for n in package.body if isinstance(n, ast.Assign))
    own = {re.split("[@+]", name)[0].removeprefix("py-") for name, _ in calls(package, "depends_on")}
    listed = re.search(r"install_requires =\n((?:    .*\n)+)", (repo / "setup.cfg").read_text())[1]
    required = {re.split("[;<>= ]", line.strip())[0] for line in listed.splitlines()}
    assert not set(wheels) & own
    assert required == set(wheels) | (own - {"python", "mpi", "setuptools", "pytest", "hypothesis"})
    told = (repo / "docs/packaging.md").read_text()
    assert all(name in told for name in set(wheels) - {"desphere-native"})


def test_they_name_no_site_and_no_host(repo):
    for path in (repo / "packaging").rglob("*"):
        if path.is_file():
            assert not re.search(r"https?://|file://|/(work|home|root|scratch|mnt|sw|apps)/", path.read_text()), path
