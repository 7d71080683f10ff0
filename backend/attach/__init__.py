"""`gradlab.attach`: a training loop of the user's own that reports to a lab."""
