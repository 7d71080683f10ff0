"""Guesses and targets: a gradient that is wanted, projected on one that is at hand."""
