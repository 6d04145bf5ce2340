"""Training: the only place where acoustic models and parallel strategies meet."""
