"""Finding components, and making them from their descriptions."""
