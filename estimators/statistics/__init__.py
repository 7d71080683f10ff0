"""Statistics that need only the standard library: no torch, no numpy."""
