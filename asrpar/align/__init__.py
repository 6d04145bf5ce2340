"""Stage 4 of hybrid models: which state each frame belongs to."""
