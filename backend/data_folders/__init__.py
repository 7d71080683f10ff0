"""Folders of data sets: where they lie, what they hold, and how named ones are fetched."""
