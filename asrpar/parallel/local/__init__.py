"""Local steps, and what learners add up after one or many of them."""
