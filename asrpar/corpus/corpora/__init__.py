"""One file for each corpus. A file defines ``CORPORA``, a list of `asrpar.corpus.registry.Corpus`; that is all.

These modules are imported to list the names, so torch and Lhotse are imported inside the functions.
"""
