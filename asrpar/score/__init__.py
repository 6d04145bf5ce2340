"""Scoring: word error rates, their confidence, and comparison of experiments."""
