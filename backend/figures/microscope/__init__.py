"""Figures of a microscope."""
