"""What the grid of guesses and targets shows: which cell an estimator has, and its values."""
