"""Studies: many simulated trainings, one for each cell of a grid, and what they tell together."""
