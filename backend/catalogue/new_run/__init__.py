"""What the page of a new run asks of configurations that are being written."""
