"""A cluster of learners in one process, on a clock of its own."""
