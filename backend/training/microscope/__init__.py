"""Measuring estimators at a checkpoint of a run."""
