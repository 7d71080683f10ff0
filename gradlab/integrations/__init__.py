"""Callbacks that attach the training loops of other libraries, one module each."""
