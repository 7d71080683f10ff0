"""Texts of the lab: a bundled novel, and the user's own files."""
