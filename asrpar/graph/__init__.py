"""Decoding graphs: lexicon, language model and topology as transducers, composed, for OpenFst and k2."""
