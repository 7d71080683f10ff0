"""How much memory a run needs, from shapes alone."""
