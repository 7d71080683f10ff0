"""A worker process: works on one attempt at a run and reports to the server."""
