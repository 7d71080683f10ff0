"""A worker process: trains one attempt at a run and reports to the server."""
