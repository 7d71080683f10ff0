"""Measurements as objects and as tables."""
