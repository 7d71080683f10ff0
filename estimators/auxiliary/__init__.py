"""Auxiliary networks, which read a block's output and give it a loss of its own."""
