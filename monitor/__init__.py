"""A production monitor for machine-learning models: it sees a model turn unfair, and undoes it."""

__version__ = "0.1.0"
