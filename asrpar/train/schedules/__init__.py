"""Learning rates by name, as functions of the frames seen by all learners, so that N does not change their meaning.

One file each with `Settings` and `Schedule`.
"""

from asrpar.choices import Family

SCHEDULES = Family("asrpar.train.schedules", "schedule", "Schedule")
