"""Hidden Markov models: how frame classes follow each other."""
