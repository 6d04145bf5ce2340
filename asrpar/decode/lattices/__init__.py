"""Lattices of an engine's search, and what is read out of them."""
