"""Lexicon, units, n-gram language models, topologies and decoding graphs."""
