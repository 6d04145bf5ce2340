"""Alignments from Kaldi and for it."""
