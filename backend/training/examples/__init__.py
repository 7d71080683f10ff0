"""Examples: how a part of a data set stores them, and how a batch is made of them."""
