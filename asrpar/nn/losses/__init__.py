"""What models are trained towards."""
