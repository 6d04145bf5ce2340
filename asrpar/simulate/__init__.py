"""Trainings on a virtual cluster: the trainer, once for each learner, in one process and in virtual time."""
