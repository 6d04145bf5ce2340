"""End a process when another one has ended: the program behind `asrpar.launch.around.end_with_scripts`.

Called with numbers of open handles of processes (pidfd): whom to end, and with whom. Only the standard library is
imported, so that it starts in no time and needs little memory.
"""

import select
import signal
import sys
from contextlib import suppress

# Seconds to save and stop, or to remove what is half made, for those whose script was killed.
ABANDONED = 4.0


def main() -> None:
    """Wait for the command's end, or for that of a script, which then is the command's: SIGTERM, and then SIGKILL."""
    command, *scripts = map(int, sys.argv[1:])
    alone, any_of_them = select.poll(), select.poll()
    alone.register(command, select.POLLIN)
    for handle in (command, *scripts):
        any_of_them.register(handle, select.POLLIN)
    any_of_them.poll()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if alone.poll(0):
            return
        with suppress(OSError):
            signal.pidfd_send_signal(command, number)
        alone.poll(1000 * ABANDONED)


if __name__ == "__main__":
    main()
