"""Checkpoint files: their format, and which of them a run keeps."""
