"""Kaldi data folders and archives, in and out."""
