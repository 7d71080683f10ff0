"""Solvers of fixed-point equations, each example of a batch by itself."""
