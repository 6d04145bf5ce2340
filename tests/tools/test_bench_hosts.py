"""tools/bench/hosts.py: one MPI job over hosts that are network namespaces. What depends on speed is not tested."""

import importlib
import json
import subprocess
import sys

import pytest


@pytest.fixture
def namespaces(repo, monkeypatch):
    monkeypatch.syspath_prepend(repo / "tools/bench")
    module = importlib.import_module("namespaces")
    if why := module.missing():
        pytest.skip(why)
    return module


def listed() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout


def test_hosts_are_gone_whatever_happens(namespaces):
    dead = subprocess.Popen(["true"])
    dead.wait()
    subprocess.run(["ip", "netns", "add", f"asrpar{dead.pid}h0"], check=True)
    with pytest.raises(ZeroDivisionError), namespaces.Hosts(2) as hosts:
        hosts.set_rate(1e6)
        said = subprocess.run([*hosts.inside(1), "hostname"], capture_output=True, text=True).stdout
        assert said.strip() == hosts.names[1] and all(name in listed() for name in (*hosts.names, hosts.switch))
        agent = [hosts.agent, hosts.names[0], "hostname;", "echo", "$((1 + 1))"]
        assert subprocess.run(agent, capture_output=True, text=True).stdout.split() == [hosts.names[0], "2"]
        rates = subprocess.run(["tc", "-n", hosts.switch, "qdisc"], capture_output=True, text=True).stdout
        assert rates.count("rate 1Mbit") == 2
        _ = 1 / 0
    assert f"asrpar{dead.pid}h0" not in listed() and not any(name in listed() for name in (*hosts.names, hosts.switch))


@pytest.mark.mpi
def test_strategies_over_four_hosts(namespaces, mpi_environment, repo, tmp_path):
    output, parameters, rate = tmp_path / "hosts.json", 50_000, 40
    options = ["--rates", rate, "--steps", 4, "--parameters", parameters, "--compute", 0.01, "--output", output]
    command = [sys.executable, repo / "tools/bench/hosts.py", *options]
    env = {k: v for k, v in mpi_environment.items() if not k.startswith("PRTE_MCA_rmaps")}
    done = subprocess.run([*map(str, command)], timeout=100, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(output.read_text())
    numbers, names = zip(*found["nodes"], strict=True)
    assert numbers == (0, 1, 2, 3) and len(set(names)) == 4
    seconds = {row["strategy"]: row["measured"] for row in found["results"]}
    assert list(seconds) == ["ssgd", "bmuf", "adpsgd", "hadpsgd"]
    # No step is faster than its gradient, and in ssgd than what each host has to send; the buckets' fill, and what
    # comes of a fresh one, are little beside it.
    assert all(s >= 0.01 for s in seconds.values())
    assert seconds["ssgd"] > 0.8 * 1.5 * 4 * parameters / (rate * 1e6 / 8)
    assert all(row["predicted"] > 0.0099 for row in found["results"])
    assert not any(name in listed() for name in names)
