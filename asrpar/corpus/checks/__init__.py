"""Checks of speech data before hours are spent on it."""
