"""Lexicons, units and text normalisation."""
