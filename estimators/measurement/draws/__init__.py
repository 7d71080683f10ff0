"""Draws at a frozen point, and what is kept of them."""
