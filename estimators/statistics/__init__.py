"""Statistics that need the standard library alone: no torch, no numpy.

Page, export, notebook and terminal call these functions, so that one question has one answer.
Functions that take arrays use operators alone: floats, numpy arrays and torch tensors pass through.
"""
