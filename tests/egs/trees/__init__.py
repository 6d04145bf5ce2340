"""Miniature corpora, laid out and written as the originals are, for the recipes' tests: ``make_NAME(folder, corpora)``.

With ``corpora``, the folder of ASRPAR_CORPORA, people speak in them; without it, espeak-ng does.
"""
