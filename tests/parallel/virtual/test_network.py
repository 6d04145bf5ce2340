"""What messages and collectives cost, against sums made by hand."""

import pytest

from asrpar.parallel.virtual.cluster import Cluster, Link, Links
from asrpar.parallel.virtual.network import Network, Port

GB = 1e9


def network(nodes=2, devices=4, collective="ring", inside=None, between=None, **more) -> Network:
    """Inside 10 GB/s and 1 ms, each device for itself; between 1 GB/s and 10 ms, shared by a node."""
    links = Links(inside or Link(1e-3, 10 * GB), between or Link(1e-2, GB, shared=True))
    return Network(Cluster(nodes=nodes, devices_per_node=devices, collective=collective, links=links, **more))


def test_a_message_takes_bytes_over_bandwidth_and_a_latency():
    n = network()
    assert n.transfer(5.0, 0, 1, 2 * GB) == (5.2, 5.2 + 1e-3)
    assert n.transfer(5.0, 0, 4, 2 * GB) == (7.0, 7.0 + 1e-2)
    assert n.transfer(5.0, 3, 3, 2 * GB) == (5.0, 5.0)


def test_two_senders_of_one_node_share_its_port_out():
    n = network(nodes=3)
    assert n.transfer(0.0, 0, 4, GB)[0] == 1.0
    assert n.transfer(0.0, 1, 8, GB)[0] == 2.0
    own = network(nodes=3, between=Link(1e-2, GB, shared=False))
    assert own.transfer(0.0, 0, 4, GB)[0] == 1.0
    assert own.transfer(0.0, 1, 8, GB)[0] == 1.0


def test_many_senders_to_one_node_wait_for_its_port_in():
    n = network(nodes=4)
    assert [n.transfer(0.0, source, 0, GB)[0] for source in (4, 8, 12)] == [1.0, 2.0, 3.0]


def test_both_directions_at_once():
    n = network()
    assert n.transfer(0.0, 0, 4, GB)[0] == 1.0
    assert n.transfer(0.0, 4, 0, GB)[0] == 1.0


def test_who_waits_for_a_taken_receiver_does_not_block_others():
    n = network(nodes=4)
    n.transfer(0.0, 4, 8, 5 * GB)  # node 2 receives until 5
    assert n.transfer(0.0, 0, 8, GB)[0] == 6.0  # from node 0, behind it
    assert n.transfer(0.0, 0, 12, GB)[0] == 1.0  # node 0 sends to node 3 meanwhile
    assert n.transfer(0.0, 0, 12, 4 * GB)[0] == 5.0  # there is room until it goes on
    assert n.transfer(0.0, 0, 12, 2 * GB)[0] == 8.0  # but no more


def test_ports_forget_what_is_over():
    n = network()
    for step in range(1000):
        n.transfer(step * 10.0, 0, 4, GB)
        n.transfer(step * 10.0 + 5.0, 1, 4, GB)
    assert all(len(port.busy) <= 2 for port in n.ports.values())


def test_room_between_two_messages():
    port = Port()
    port.take(0.0, 0.0, 1.0)
    port.take(0.0, 3.0, 4.0)
    assert port.first(0.0, 2.0) == 1.0
    assert port.first(0.0, 2.5) == 4.0
    assert port.first(3.5, 0.1) == 4.0
    assert port.first(9.0, 1.0) == 9.0


def test_ring_within_a_node():
    # 2 · 3 steps with 0.25 GB at 10 GB/s and 1 ms each.
    assert network().allreduce(range(4), GB) == pytest.approx(6 * (0.025 + 1e-3))


def test_ring_over_nodes():
    # 14 steps of 1/8 GB at 1 GB/s: the slowest link; 2 latencies between the nodes, 12 inside.
    assert network().allreduce(range(8), GB) == pytest.approx(14 * 0.125 + 2 * 1e-2 + 12 * 1e-3)


def test_rings_through_each_devices_own_link():
    own = network(between=Link(1e-2, GB, shared=False))
    # Four rings with a quarter each: together 4 GB/s.
    assert own.allreduce(range(8), GB) == pytest.approx(14 * 0.125 / 4 + 2 * 1e-2 + 12 * 1e-3)
    # Not faster than inside, where all rings pass through every device.
    fast = network(between=Link(1e-2, 9 * GB, shared=False))
    assert fast.allreduce(range(8), GB) == pytest.approx(14 * 0.0125 + 2 * 1e-2 + 12 * 1e-3)


def test_memory_that_a_node_shares():
    shared = network(inside=Link(1e-3, 10 * GB, shared=True))
    assert shared.allreduce(range(4), GB) == pytest.approx(6 * (0.25 / 2.5 + 1e-3))
    # Also where it is slower than what is between.
    slow = network(inside=Link(1e-3, 2 * GB, shared=True))
    assert slow.allreduce(range(8), GB) == pytest.approx(14 * 0.125 / 0.5 + 2 * 1e-2 + 12 * 1e-3)


def test_trees():
    # Up and down: 3 hops of a chain inside, 2 levels over 4 nodes; every byte twice over the port of a node.
    assert network(nodes=4, collective="tree").allreduce(range(16), GB) == pytest.approx(
        2 * (3 * 1e-3 + 2 * 1e-2) + 2.0
    )


def test_hierarchical():
    # Ring of 4 inside, then rings of 2 nodes for a quarter each, four of them through one port.
    inside, between = 6 * (0.025 + 1e-3), 2 * (0.125 / 0.25 + 1e-2)
    h = network(collective="hierarchical")
    assert h.allreduce(range(8), GB) == pytest.approx(inside + 2 * (0.125 / 1 + 1e-2) + 2 * (0.125 * 3))
    assert h.allreduce(range(8), GB) == pytest.approx(inside + between)
    assert h.allreduce(range(4), GB) == pytest.approx(inside)
    # One learner on each node: a ring of nodes.
    assert h.allreduce([0, 4], GB) == pytest.approx(2 * (0.5 + 1e-2))


def test_on_a_shared_port_hierarchical_is_no_more_bytes_than_a_ring():
    ring, h = network(nodes=8), network(nodes=8, collective="hierarchical")
    assert h.allreduce(range(32), GB) < ring.allreduce(range(32), GB)
    assert h.allreduce(range(32), GB) > 2 * 7 / 8  # bytes out of a node at 1 GB/s


def test_broadcast_and_allgather_are_half_an_allreduce():
    n = network()
    assert n.broadcast(range(8), GB) == n.allgather(range(8), GB) == n.allreduce(range(8), GB) / 2


def test_alltoall():
    # 3 messages inside, 4 to the other node, whose port 4 devices share; each of 1/8 GB.
    assert network().alltoall(range(8), GB) == pytest.approx(3 * (0.0125 + 1e-3) + 4 * (0.125 / 0.25 + 1e-2))


def test_barrier():
    assert network().barrier(range(8)) == pytest.approx(2 * (2 * 1e-3 + 1 * 1e-2))
    assert network().barrier([3]) == 0.0


def test_alone_nothing_takes_time():
    n = network()
    assert n.allreduce([5], GB) == n.alltoall([5], GB) == n.broadcast([5], GB) == 0.0


def test_collectives_may_do_better_or_worse_than_messages():
    slow = network(collective_efficiency=0.5)
    assert slow.allreduce(range(4), GB) == pytest.approx(6 * (0.05 + 1e-3))
