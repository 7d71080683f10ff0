"""What runs have measured: points, figures, findings, files."""
