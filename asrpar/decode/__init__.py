"""Decoding: engines that turn log-probabilities into words, and the search for the best scales on dev."""
