"""Asynchronous strategies: equalities and invariants on real MPI ranks."""

from pathlib import Path

import pytest
import torch
from toy import ToyLearner, data, sgd, wire_of
from virtual import on_virtual

from asrpar.errors import ConfigError, TrainingError
from asrpar.parallel.comm import LocalComm, Message
from asrpar.parallel.strategies import make_strategy, settings_class
from asrpar.parallel.trace import RecordingTrace
from asrpar.parallel.virtual.cluster import Cluster, Link, Links

PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_oracles_under_mpi(mpirun, repo, ranks):
    path = {"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}
    done = mpirun(ranks, PROGRAMS / "async_oracles.py", env=path, timeout=180)
    assert done.stdout.count("passed") == ranks


@pytest.mark.mpi
@pytest.mark.parametrize("seed", [1])
def test_nothing_is_lost_in_many_exchanges(mpirun, repo, seed):
    # Longer runs: 10000 exchanges, or 60 seconds, with other seeds.
    program = PROGRAMS / "gossip_soak.py"
    done = mpirun(4, program, 400, 0, seed, env={"PYTHONPATH": f"{repo}:{repo / 'tests/support'}"}, timeout=180)
    assert done.stdout.count("passed") == 4


NOTHING = tuple(x[:0] for x in data(steps=1, rows=1)[0])


def alone(name, learner=None, **settings):
    return make_strategy(name, settings_class(name)(**settings), learner or ToyLearner(), LocalComm())


def test_delay_compensation_adds_the_gradients_square_times_the_drift():
    gamma, lam = 0.05, 0.4
    asgd = alone("asgd", delay_compensation=lam)
    asgd.start()
    assert torch.equal(asgd.server.pulled[0], asgd.server.shard)
    torch.manual_seed(1)
    gradient, drift = torch.randn(2, 6, dtype=torch.float64)
    s = asgd.server.shard
    pulled = s.clone()
    s.add_(drift)
    asgd.update(s, Message(0, 1, (0.0, gamma), -gamma * gradient))
    compensated = gradient + lam * gradient * gradient * drift
    assert torch.allclose(s, pulled + drift - gamma * compensated, rtol=0, atol=1e-14)


def test_delay_compensation_takes_the_drift_since_the_pull_where_replies_wait_too():
    gamma, lam, learners = 0.05, 5.0, 2
    batches = data(steps=3, rows=4 * learners)
    x = ToyLearner().weights.clone()
    for batch in batches:
        # With a bound of 0 both begin a step with the same s, which the first push still meets and the second does not.
        pulled, parts = x.clone(), []
        for r in range(learners):
            one = ToyLearner()
            one.weights.copy_(pulled)
            part = tuple(t[4 * r : 4 * r + 4] for t in batch)
            parts.append(one.gradient(part) and one.grad.div_(len(part[0])).clone())
        for g in parts:
            x = x - gamma * (g + lam * g * g * (x - pulled)) / learners

    def train(comm):
        asgd = make_strategy(
            "asgd",
            settings_class("asgd")(server="dedicated", staleness_bound=0, delay_compensation=lam, push_scale=None),
            ToyLearner(),
            comm,
        )
        asgd.start()
        for batch in batches if comm.rank < learners else ():
            asgd.step(tuple(t[4 * comm.rank : 4 * comm.rank + 4] for t in batch))
        asgd.finish()
        models.append(asgd.model().clone())

    models = []
    on_virtual(learners + 1, train)
    for model in models:
        assert torch.allclose(model, x, rtol=0, atol=1e-12)


def test_without_a_learning_rate_there_is_no_drift_to_compensate():
    asgd = alone("asgd", ToyLearner(), delay_compensation=0.4)
    asgd.start()
    before = asgd.server.shard.clone()
    asgd.update(asgd.server.shard, Message(0, 1, (0.0, 0.0), torch.zeros(6, dtype=torch.float64)))
    assert torch.equal(asgd.server.shard, before)


def test_a_push_may_be_divided_by_its_staleness():
    asgd = alone("asgd", scale_by_staleness=True)
    asgd.start()
    asgd.server.version = 7
    before = asgd.server.shard.clone()
    asgd.update(asgd.server.shard, Message(0, 1, (3.0, 0.05), torch.ones(6, dtype=torch.float64)))
    assert torch.allclose(asgd.server.shard, before + 0.25)


def test_local_steps_between_pushes_are_the_learners_own():
    batches = data(steps=7, rows=4)
    reference = ToyLearner()
    sgd(reference, batches)
    asgd = alone("asgd", sync_steps=3)
    asgd.start()
    for batch in batches:
        asgd.step(batch)
    assert asgd.server.version == 2
    asgd.finish()
    assert torch.allclose(asgd.model(), reference.weights, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("asgd", {"server": "central"}, "asgd.server"),
        ("asgd", {"server": "dedicated"}, "a rank of its own"),
        ("asgd", {"sync_steps": 0}, "asgd.sync_steps"),
        ("asgd", {"staleness_bound": -1}, "asgd.staleness_bound"),
        ("asgd", {"delay_compensation": -0.1}, "asgd.delay_compensation"),
        (
            "asgd",
            {"delay_compensation": 0.1, "sync_steps": 2},
            "set sync_steps to 1 and compression to none",
        ),
        ("asgd", {"push_scale": 0.0}, "asgd.push_scale"),
        ("easgd_async", {"alpha": 1.0}, "easgd_async.alpha"),
        ("adpsgd", {"neighbours": "all"}, "adpsgd.neighbours"),
        ("hadpsgd", {"super_learner_size": 2}, "super_learner_size"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        alone(name, **settings)


def test_hadpsgd_does_not_go_on_with_other_super_learners():
    states = {}

    def make(comm):
        strategy = make_strategy("hadpsgd", settings_class("hadpsgd")(), ToyLearner(), comm)
        strategy.start()
        return strategy

    def save(comm):
        states[comm.rank] = make(comm).state_dict()

    def same(comm):
        make(comm).load_state_dict(states[comm.rank])

    def other(comm):
        with pytest.raises(TrainingError, match=r"super-learners .* \[0, 0, 1, 1\] .* \[0, 1, 2, 3\]"):
            make(comm).load_state_dict(states[comm.rank])

    on_virtual(4, save, Cluster(nodes=2, devices_per_node=2))
    on_virtual(4, same, Cluster(nodes=2, devices_per_node=2))
    on_virtual(4, other, Cluster(nodes=4))


def test_learners_that_went_on_alone_begin_again_with_their_mean():
    after = []

    def load(comm):
        strategy = make_strategy("hadpsgd", settings_class("hadpsgd")(super_learner_size=2), ToyLearner(), comm)
        strategy.learner.weights.fill_(comm.rank)
        # As `adpsgd` saves it, in whose way those go on that are left after a loss.
        strategy.load_state_dict({"exchanges": 5})
        after.append(strategy.learner.weights.tolist())

    on_virtual(4, load)
    assert after == [[1.5] * 6] * 4


@pytest.mark.parametrize(("server", "lost"), [("dedicated", 1), ("dedicated", 3), ("sharded", 1)])
def test_after_a_loss_asgd_goes_on_from_what_the_server_has(server, lost):
    found = {}

    def run(comm):
        settings = settings_class("asgd")(server=server, push_scale=None, sync_steps=2)
        asgd = make_strategy("asgd", settings, ToyLearner(seed=comm.rank), comm)
        asgd.start()
        for batch in data(steps=21, rows=4):
            asgd.step(batch if comm.rank < asgd.learners else NOTHING)
            comm.sleep(0.01 * (comm.rank + 1))
        comm.sleep(10)
        left = comm.split(None if comm.rank == lost else 0)
        if left is not None:
            before = (
                asgd.server.shard.clone() if server == "dedicated" and comm.rank == 3 else asgd.learner.weights.clone()
            )
            found[comm.rank] = before, asgd.survive(left).pulled
        if comm.rank == 0:
            comm.scheduler.stop()
        comm.sleep(1)

    on_virtual(4, run)
    before = {rank: weights for rank, (weights, _) in found.items()}
    expected = before[3] if server == "dedicated" and lost != 3 else sum(before.values()) / 3
    assert sorted(found) == [rank for rank in range(4) if rank != lost]
    for _, after in found.values():
        assert torch.allclose(after, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("adpsgd", {}), ("hadpsgd", {"super_learner_size": 1}), ("hadpsgd", {"super_learner_size": 2})],
)
def test_every_exchange_makes_somebodys_gradient_stale(name, settings):
    found = {}

    def run(comm):
        comm.trace = RecordingTrace()
        strategy = make_strategy(name, settings_class(name)(**settings), ToyLearner(seed=comm.rank), comm)
        strategy.start()
        for batch in data(steps=20, rows=4):
            # Exchanges go on while a learner waits for data.
            comm.sleep(0.5 if comm.rank == 0 else 0.3)
            strategy.step(batch)
        outside = strategy if name == "adpsgd" else strategy.outside
        if outside is not None:
            counted = sum(count.total for count in comm.trace.counts()["staleness"])
            found[comm.rank] = counted, outside.exchanges
        strategy.finish()

    on_virtual(4, run)
    assert len(found) == (2 if settings.get("super_learner_size") == 2 else 4)
    for counted, exchanges in found.values():
        # The last ones have met no update yet.
        assert exchanges - 3 <= counted <= exchanges and exchanges > 10


@pytest.mark.parametrize(("learners", "server"), [(1, "sharded"), (2, "sharded"), (4, "sharded"), (3, "dedicated")])
def test_what_a_rank_keeps_for_itself_is_not_counted_as_sent(learners, server):
    sent = []

    def run(comm):
        comm.trace = RecordingTrace()
        asgd = make_strategy("asgd", settings_class("asgd")(server=server), ToyLearner(), comm)
        asgd.start()
        before = sum(size for _, _, size in comm.trace.totals().values())
        for batch in data(steps=4, rows=4):
            asgd.step(batch if comm.rank < asgd.learners else NOTHING)
        comm.sleep(10)
        sent.append(sum(size for _, _, size in comm.trace.totals().values()) - before)
        comm.scheduler.stop()

    ranks = learners + (server == "dedicated")
    on_virtual(ranks, run)
    # 6 numbers of 8 bytes each way, but for the own shard; and less than 64 bytes of header for each message.
    elsewhere = 1.0 if server == "dedicated" else 1 - 1 / ranks
    payload = learners * 4 * 2 * 48 * elsewhere
    shards = 1 if server == "dedicated" else ranks - 1
    assert payload <= sum(sent) <= payload + learners * 4 * 2 * shards * 64


def spans(name, size, steps=25, **settings):
    """What the learners of one node send in some steps, by name of span: [number, bytes], and their weights."""
    found = []

    def run(comm):
        strategy = make_strategy(name, settings_class(name)(**settings), ToyLearner(seed=comm.rank), comm)
        strategy.start()
        comm.trace = RecordingTrace()
        for part in (comm, getattr(strategy, "inside", comm)):
            part.trace = comm.trace
        for batch in data(steps=steps, rows=4 * size):
            assert strategy.step(tuple(t[4 * comm.rank : 4 * comm.rank + 4] for t in batch))
            if name == "hadpsgd":
                strategy.should_sync(False)
        found.append((comm.trace.totals(), strategy.learner.weights.clone()))
        strategy.finish()

    on_virtual(size, run, Cluster(nodes=1, devices_per_node=size))
    return [({n: [k, b] for n, (k, _, b) in totals.items() if b}, x) for totals, x in found]


def test_one_super_learner_sends_what_ssgd_sends_and_does_what_it_does():
    for (ours, x), (theirs, y) in zip(spans("hadpsgd", 3), spans("ssgd", 3), strict=True):
        # The look for stop signals, which ssgd leaves to the trainer.
        assert ours.pop("learner/begin")[0] == 5
        assert ours == theirs
        assert torch.equal(x, y)


def test_super_learners_hand_on_weights_only_where_an_exchange_has_changed_them():
    counted = {}

    def run(comm):
        settings = settings_class("hadpsgd")(super_learner_size=2)
        strategy = make_strategy("hadpsgd", settings, ToyLearner(seed=comm.rank), comm)
        strategy.start()
        strategy.inside.trace = comm.trace = RecordingTrace()
        for batch in data(steps=20, rows=4):
            # The second super-learner, which is the active one, is four times slower.
            comm.sleep(1.0 if comm.rank < 2 else 4.0)
            strategy.step(batch)
        sent = comm.trace.totals()["learner/broadcast"]
        # A float tells whether 6 doubles follow.
        counted[comm.rank] = round((sent[2] - 20 * 4 / 2) / (6 * 8 / 2)), sent[0] - 20
        strategy.finish()
        models[comm.rank] = strategy.learner.weights.clone()

    models = {}
    on_virtual(4, run)
    assert all(vectors == messages for vectors, messages in counted.values())
    assert 4 <= counted[0][0] <= 6 and counted[1] == counted[0]
    assert torch.equal(models[0], models[1]) and torch.equal(models[2], models[3])


@pytest.mark.parametrize(("name", "settings"), [("asgd", {}), ("asgd", {"staleness_bound": 0}), ("easgd_async", {})])
def test_all_servers_are_visited_in_one_round_trip(name, settings):
    seconds = []

    def run(comm):
        strategy = make_strategy(name, settings_class(name)(sync_steps=1, **settings), ToyLearner(), comm)
        strategy.start()
        begin = comm.clock()
        for batch in data(steps=3, rows=4):
            strategy.step(batch)
        seconds.append(comm.clock() - begin)
        strategy.finish()

    # Computing takes no time here, and messages nothing but a second of latency.
    on_virtual(6, run, Cluster(nodes=6, links=Links(between=Link(latency=1.0, bandwidth=1e12))))
    assert seconds == pytest.approx([3 * 2.0] * 6, abs=1e-6)


@pytest.mark.parametrize(("method", "known"), [("bf16", True), ("topk", False), ("onebit", False)])
def test_a_centre_that_a_learner_cannot_know_is_not_observed(method, known):
    def run(comm):
        learner = ToyLearner(seed=comm.rank)
        settings = {"topk": {"density": 0.2}, "onebit": {"block": 8}}.get(method, {})
        wire = wire_of(method, learner.shapes, learner.weights, **settings)
        easgd = make_strategy("easgd_async", settings_class("easgd_async")(sync_steps=1), learner, comm, wire)
        easgd.start()
        for batch in data(steps=5, rows=4):
            easgd.step(batch)
            assert easgd.synchronised == known
        easgd.finish()
        assert easgd.synchronised
        assert torch.equal(easgd.observed()[easgd.server.own], easgd.server.shard)

    on_virtual(3, run)


@pytest.mark.parametrize(("every", "told"), [(3, False), (6, True)])
def test_a_centre_that_nothing_has_moved_is_told(caplog, every, told):
    def run(comm):
        strategy = make_strategy("easgd_async", settings_class("easgd_async")(sync_steps=every), ToyLearner(), comm)
        strategy.start()
        for batch in data(steps=5, rows=4):
            strategy.step(batch)
        strategy.finish()

    on_virtual(2, run)
    assert ("it has taken 5, and strategies.easgd_async.sync_steps is 6" in caplog.text) == told
