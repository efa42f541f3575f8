"""Which geometry a seed ends in, foretold from its initial W alone: six features in the plane, the post's settings."""

from src.outcome.predictors import GEOMETRIES, Network, Predictors, Readable, load

__all__ = ["GEOMETRIES", "Network", "Predictors", "Readable", "load"]
