"""Engines that search, one page each."""
