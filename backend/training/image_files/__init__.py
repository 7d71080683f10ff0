"""Image data sets in files: where they lie, what they hold, and their decoded images."""
