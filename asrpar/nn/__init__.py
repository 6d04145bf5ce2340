"""Acoustic models and losses. They know nothing of MPI."""
