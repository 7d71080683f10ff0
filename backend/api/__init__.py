"""The HTTP API: routes validate, read or write, and return; computations are made elsewhere."""
