"""Run under mpirun: payloads that are read where they were written. Exits 1 on the first failure.

Argument: ``lent`` or ``copied``, what is expected of memory between these ranks.
"""

import sys

import torch

from asrpar.parallel.comm.mpi import MpiComm

comm = MpiComm()
RANK, N = comm.rank, comm.size
expected = sys.argv[1] == "lent"
P = 10_001
channel = comm.channel()
drafts = channel.drafts(torch.zeros(P), 2)
buffer = torch.zeros(P)


def check(condition: bool, what: str) -> None:
    if not condition:
        print(f"rank {RANK}: {what}", flush=True)
        sys.exit(1)


check((channel._bell is not None) == expected, "bells")
comm.barrier()
if RANK == 0:
    kept = []
    for number in range(3):
        message = channel.receive(buffer, source=1)
        inside = buffer.data_ptr() <= message.payload.data_ptr() < buffer.data_ptr() + buffer.nbytes
        # Two may be kept; the third is copied, so that nobody waits.
        check(inside == (not expected or number == 2), f"payload {number} was {'copied' if inside else 'lent'}")
        check(bool((message.payload == number + 1).all()), f"payload {number}: {message.payload[:3]}")
        kept.append(message)
    comm.barrier()
    if expected:
        check(kept[0].payload[0] == 1 and kept[1].payload[-1] == 2, "what was kept has changed")
    kept[1].release()
    kept[1].release()
    comm.barrier()
    # Plain messages, and those that are no whole draft, come as ever, in their order.
    for number, size in enumerate((P, 7, 0, P)):
        message = channel.receive(buffer)
        check(message.kind == number, f"kind {message.kind}, not {number}")
        check((0 if message.payload is None else len(message.payload)) == size, f"size of message {number}")
        check(not size or bool((message.payload == 3 + number).all()), f"content of message {number}")
        message.release()
elif RANK == 1:
    written = []
    for number in range(3):
        draft = drafts.next()
        check(all(draft is not other for other in written), "a draft that is being read was given away")
        draft.fill_(number + 1)
        channel.send(0, number, payload=draft)
        if expected:
            written.append(draft)
    comm.barrier()
    comm.barrier()
    draft = drafts.next()
    check(not expected or draft is written[1], "the draft that was given back")
    draft.fill_(3.0)
    channel.send(0, 0, payload=draft)
    channel.send(0, 1, payload=torch.full((7,), 4.0))
    channel.send(0, 2)
    channel.send(0, 3, payload=torch.full((P,), 6.0))
else:
    comm.barrier()
    comm.barrier()

# Vectors that all can write.
vectors = comm.channel().shared_vectors(torch.zeros(7, dtype=torch.float64), 2)
check((vectors is not None) == expected, "shared vectors")
if vectors is not None:
    check(sorted(vectors) == list(range(N)) and all(len(v) == 2 for v in vectors.values()), "vectors of each rank")
    check(all(x.data_ptr() % 64 == 0 for v in vectors.values() for x in v), "vectors at cache lines, as torch's own")
    check(all(bool((x == 0).all()) and x.shape == (7,) for v in vectors.values() for x in v), "zeros")
    comm.barrier()
    for rank in range(N):
        vectors[rank][1][RANK] = RANK + 1
    comm.barrier()
    for rank in range(N):
        check(vectors[rank][1][:N].tolist() == [r + 1 for r in range(N)], f"what all wrote to rank {rank}")
        check(bool((vectors[rank][0] == 0).all()), f"the other vector of rank {rank}")
check(comm.shared_vectors(torch.zeros(7), 2) is None, "shared vectors of a learner's own thread")

# Who waits hears of each of many messages, in whatever moment they come.
count = 300
comm.barrier()
if RANK == 0:
    seen = [0.0] * N
    for _ in range(count * (N - 1)):
        message = channel.receive(buffer)
        check(message.numbers[0] == seen[message.source], f"out of order from {message.source}")
        seen[message.source] += 1
else:
    for number in range(count):
        channel.send(0, 5, (number,))
        if number % 50 == RANK:
            comm.sleep(0.01)
comm.barrier()
print(f"rank {RANK} passed", flush=True)
