"""`python -m src.sweep`: a grid of overrides and shards of seeds, each cell a `fit` of its own."""
