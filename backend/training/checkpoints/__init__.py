"""Checkpoint files: their format, which of them a run keeps, and what a server may read of them."""
