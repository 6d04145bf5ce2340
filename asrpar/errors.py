"""Errors that a user can mend: reported as one line, never as a traceback."""


class AsrparError(Exception):
    """A user's mistake. The message says what is wrong, where, and what to do, in one line."""


class MissingInputError(AsrparError):
    """A file that an earlier stage makes is not there; the message names the stage."""


class ConfigError(AsrparError):
    """A configuration that cannot be used."""


class DataError(AsrparError):
    """Speech data or manifests that cannot be used."""


class TrainingError(AsrparError):
    """Training cannot go on, for instance after too many non-finite gradients."""


class LaunchError(AsrparError):
    """The learners could not be started, or one of them failed."""
