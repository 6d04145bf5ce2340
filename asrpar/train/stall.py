"""What is told of a training that stands still."""

import sys
import threading
import traceback


def ranks(numbers: list[int]) -> str:
    """``rank 2``, ``ranks 0, 1``."""
    return f"rank{'s' if len(numbers) > 1 else ''} {', '.join(map(str, sorted(numbers)))}"


def learners(numbers: list[int]) -> str:
    """``learner 2``, ``learners 0, 1``."""
    return f"learner{'s' if len(numbers) > 1 else ''} {', '.join(map(str, sorted(numbers)))}"


def places(answers: dict[int, dict], numbers: list[int]) -> str:
    """Where some ranks are: ``step 17 (compute)``, or the range of their steps."""
    steps = sorted({answers[r]["step"] for r in numbers})
    doing = sorted({answers[r]["doing"] for r in numbers} - {""})
    span = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
    return f"step {span}" + (f" ({', '.join(doing)})" if doing else "")


def stacks() -> str:
    """The stacks of all threads of this process, by their names; the main one, the learner, last."""
    names = {t.ident: t.name for t in threading.enumerate()}
    main = threading.main_thread().ident
    lines = []
    for ident, frame in sorted(sys._current_frames().items(), key=lambda item: item[0] == main):
        lines.append(f"thread {names.get(ident, ident)}:")
        lines += [line.rstrip() for line in traceback.format_stack(frame)]
    return "\n".join(lines)
