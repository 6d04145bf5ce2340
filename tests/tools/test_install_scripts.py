"""tools/setup.sh and tools/install_k2.sh, as far as they go without installing anything."""

import platform
import shutil
import subprocess
import sys

import pytest

TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
MACHINE = platform.machine()


@pytest.fixture(scope="module")
def built() -> str:
    import torch

    if torch.version.hip:
        pytest.skip("k2's page has no wheels for this torch")
    build = f"cuda{torch.version.cuda}" if torch.version.cuda else "cpu"
    return f"{build}.torch{torch.__version__.partition('+')[0]}"


def install_k2(repo, *args):
    command = [str(repo / "tools" / "install_k2.sh"), "--python", sys.executable, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


def write_page(path, *names):
    path.write_text(
        "".join(f'<a href="https://example.org/{name.replace("+", "%2B")}">{name}</a><br/>\n' for name in names)
    )
    return path


def test_the_newest_wheel_that_fits_is_chosen(repo, tmp_path, built):
    page = write_page(
        tmp_path / "page.html",
        f"k2-1.24.4.dev20260101+{built}-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl",
        f"k2-1.24.4.dev20260301+{built}-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl",
        f"k2-1.24.4.dev20260401+{built}-cp39-cp39-manylinux_2_28_{MACHINE}.whl",
        f"k2-1.24.4.dev20260501+{built}-{TAG}-{TAG}-manylinux_2_28_vax.whl",
        f"k2-1.24.4.dev20260601+{built}9-{TAG}-{TAG}-manylinux_2_28_{MACHINE}.whl",
    )
    done = install_k2(repo, "--page", page, "--dry-run", "true")
    assert done.returncode == 0, done.stderr
    assert f" k2==1.24.4.dev20260301+{built} -f {page}" in done.stdout


def test_a_page_without_a_wheel_for_this_torch(repo, tmp_path):
    page = write_page(tmp_path / "page.html", f"k2-1.24.4.dev20240101+cpu.torch1.9.0-{TAG}-{TAG}-manylinux_x86_64.whl")
    done = install_k2(repo, "--page", page, "--dry-run", "true")
    assert done.returncode == 1
    assert f"newest builds for {TAG}: +cpu.torch1.9.0" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_network(repo, tmp_path):
    done = install_k2(repo, "--page", tmp_path / "missing.html")
    assert done.returncode == 1
    assert "cannot read" in done.stderr
    assert "is there internet access?" in done.stderr


def test_no_environment(repo, tmp_path):
    done = install_k2(repo, "--python", tmp_path / "python")
    assert done.returncode == 1
    assert "run make setup first" in done.stderr


def test_setup_refuses_an_old_python_in_one_line(repo, tmp_path):
    (tmp_path / "tools").mkdir()
    script = shutil.copy(repo / "tools" / "setup.sh", tmp_path / "tools")
    done = subprocess.run(
        [script], env={"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "setup: error: PYTHON=/bin/false is not a Python of version 3.11 or newer\n"
    assert not (tmp_path / ".venv").exists()
