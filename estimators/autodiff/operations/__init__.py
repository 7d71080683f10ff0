"""The one table of derivative rules: which operations there are and what they compute."""
