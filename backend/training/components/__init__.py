"""Finding components, and building them from their descriptions."""
