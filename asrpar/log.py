"""Logging: one format for all commands, a banner of versions at the top of each log file."""

import logging
import sys
from pathlib import Path

from asrpar.files.paths import naming

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogFile(logging.FileHandler):
    """A log file that falls silent when it cannot be written, as on a full disk: what fails for that says so itself."""

    def handleError(self, record: logging.LogRecord) -> None:
        self.setLevel(logging.CRITICAL + 1)


def setup_logging(log_file: str | Path | None = None, *, rank: int = 0, quiet: bool = False) -> logging.Logger:
    """Send the ``asrpar`` logger to stderr (rank 0 only) and to ``log_file``, which opens with the banner.

    Args:
        log_file: appended to, so that a resumed run keeps its history; parent folders are made.
        rank: ranks above 0 write warnings and worse to stderr, everything to their file.
        quiet: nothing below a warning on stderr.
    """
    logger = logging.getLogger("asrpar")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(logging.Formatter("%(levelname)s: %(message)s" if rank == 0 else f"rank {rank}: %(message)s"))
    stream.setLevel(logging.WARNING if rank or quiet else logging.INFO)
    logger.addHandler(stream)
    if log_file is not None:
        from asrpar.info import banner

        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        file = LogFile(log_file, encoding="utf-8")
        file.setFormatter(logging.Formatter(FORMAT))
        with naming(log_file):
            file.stream.write(banner() + "\n")
            file.flush()
        logger.addHandler(file)
    return logger


def get_logger(name: str) -> logging.Logger:
    """A child of the ``asrpar`` logger, for a module: ``get_logger(__name__)``."""
    return logging.getLogger(name if name.startswith("asrpar") else f"asrpar.{name}")
