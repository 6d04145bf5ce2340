"""Trained models for other programs: ONNX graphs, and what those programs want beside them."""
