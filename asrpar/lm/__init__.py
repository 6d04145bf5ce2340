"""Language models: the ARPA format, and the estimation of n-grams."""
