"""One file for each corpus, called after it. It defines ``CORPUS``, an `asrpar.corpus.registry.Corpus`; that is all.

These modules are imported to list the names, so torch and Lhotse are imported inside the functions.
"""
