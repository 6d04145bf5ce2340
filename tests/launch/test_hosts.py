"""Which names mean the same host, and which of them this machine."""

import platform
import socket

import pytest

from asrpar.launch import hosts
from asrpar.launch.hosts import Host, expand, gather, is_here


@pytest.fixture
def network(monkeypatch):
    """A machine called n1, and a name server that knows n1 to n3."""
    known = {f"n{i}{domain}": f"192.0.2.{i}" for i in (1, 2, 3) for domain in ("", ".cluster.org")}

    def look_up(name, port):
        address = known.get(name, name if name.startswith("192.0.2.") else None)
        if address is None:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(platform, "node", lambda: "n1.cluster.org")
    monkeypatch.setattr(hosts.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(hosts, "_is_own", lambda address: address in ("127.0.0.1", "::1", "192.0.2.1"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["n1", "n2", "n1"], {"n1": 2, "n2": 1}),
        (["n2", "n2.cluster.org"], {"n2": 2}),
        (["n2.cluster.org", "n2.elsewhere.org"], {"n2.cluster.org": 1, "n2.elsewhere.org": 1}),
        (["192.0.2.2", "n2", "192.0.2.3", "n2.cluster.org"], {"192.0.2.2": 3, "192.0.2.3": 1}),
        (["192.0.2.1", "n1", "localhost", "127.0.0.1", "n1.cluster.org"], {"192.0.2.1": 5}),
        (["192.0.2.9", "unknown"], {"192.0.2.9": 1, "unknown": 1}),
    ],
)
def test_however_hosts_are_named_each_counts_once(network, names, expected):
    assert {h.name: h.slots for h in gather([Host(name, 1) for name in names], lambda: 8)} == expected


def test_this_machine_has_its_cores(network):
    cores = {h.name: h.cores for h in gather([Host(n, 1) for n in ("192.0.2.1", "n2")], lambda: 8)}
    assert cores == {"192.0.2.1": 8, "n2": None}
    assert gather([Host("n1", 1, 4)], lambda: 8) == [Host("n1", 1, 4)]  # of which the job has four


def test_this_machine_by_its_names_and_addresses():
    assert all(map(is_here, ("", "localhost", "127.0.0.1", "::1", "127.3.4.5", platform.node())))
    assert not any(map(is_here, ("elsewhere", "192.0.2.7", "2001:db8::1", "")[:3]))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("a", ["a"]),
        ("a,b-7", ["a", "b-7"]),
        ("n[1-3,07-09],login", ["n1", "n2", "n3", "n07", "n08", "n09", "login"]),
        ("r[1-2]n[3,5]-ib", ["r1n3-ib", "r1n5-ib", "r2n3-ib", "r2n5-ib"]),
        ("n[098-101]", ["n098", "n099", "n100", "n101"]),
        ("n[a-b]", []),
        ("n[3", []),
        ("n[1-99999999999]", []),
        ("(null)", ["(null)"]),
    ],
)
def test_lists_of_slurm_and_flux(text, names):
    assert expand(text) == names
