"""Strategies in training loops that are not ours: any PyTorch module, optimizer and data, see docs/library.md."""
