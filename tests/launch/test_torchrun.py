"""`asrpar launch` where torchrun has started several of it."""

import socket
import threading

import pytest
from torch.distributed import TCPStore

from asrpar.errors import LaunchError
from asrpar.launch import rank, torchrun


def variables(number: int, local: int, node: int, nodes: int = 1, each: int = 2) -> dict[str, str]:
    """As torchrun sets them (its documentation, "Environment Variables")."""
    size = str(nodes * each)
    return {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": str(number),
        "LOCAL_RANK": str(local),
        "GROUP_RANK": str(node),
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": str(each),
        "GROUP_WORLD_SIZE": str(nodes),
        "ROLE_RANK": str(number),
        "ROLE_WORLD_SIZE": size,
        "ROLE_NAME": "default",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",
    }


def test_on_one_host_rank_0_launches_for_all(asrpar_cli):
    args = ["launch", "--oversubscribe", "--dry-run", "--", "info"]
    done = asrpar_cli(*args, env=variables(0, 0, 0))
    assert " -n 2 " in done.stdout
    assert asrpar_cli(*args, env=variables(1, 1, 0)).stdout == ""


def test_variables_of_torchrun_are_forgotten(monkeypatch):
    for name, value in variables(0, 0, 0).items():
        monkeypatch.setenv(name, value)
    assert torchrun.place() == torchrun.Place(0, 2, 0, 2, 0, 1)
    torchrun.forget()
    assert [n for n in variables(0, 0, 0) if n in torchrun.os.environ] == ["MASTER_ADDR"]
    assert torchrun.place() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(LaunchError, match="its variables are incomplete"):
        torchrun.place()


def test_of_several_hosts_one_stays_on_each(monkeypatch):
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    first, second = torchrun.Place(0, 4, 0, 2, 0, 2), torchrun.Place(2, 4, 0, 2, 1, 2)

    def other() -> TCPStore:
        return TCPStore("127.0.0.1", store.port, is_master=False)

    waiting = threading.Thread(target=torchrun.stand_aside, args=(second, other), daemon=True)
    waiting.start()
    assert torchrun.gather_hosts(first, store) == (f"{socket.gethostname()}:2",) * 2
    torchrun.stand_aside(torchrun.Place(3, 4, 1, 2, 1, 2), other)  # at once
    assert waiting.is_alive()
    torchrun.tell_end(store)
    waiting.join(timeout=10)
    assert not waiting.is_alive()


def test_ranks_that_torchrun_alone_has_started_are_refused(monkeypatch):
    monkeypatch.delenv(rank.WORLD_SIZE, raising=False)
    for name, value in variables(1, 1, 0).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        LaunchError, match=r"torchrun has started 2 processes, .*, as `torchrun \.\.\. -m asrpar launch"
    ):
        rank.check_world(1)
    rank.check_world(2)
