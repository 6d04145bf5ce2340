"""Kaldi's topologies, transition models and trees, read and written without Kaldi."""
