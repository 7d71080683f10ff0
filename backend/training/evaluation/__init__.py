"""Loss and accuracy on whole parts of a data set."""
