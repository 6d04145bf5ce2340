"""asrpar: Kaldi-style recipes for training speech-recognition acoustic models in parallel."""

__version__ = "0.1.0"
