"""The sentences of figures: short names of estimators, numbers in words, and takeaways."""
