"""The synthetic corpus: made with espeak-ng, read as splits."""
