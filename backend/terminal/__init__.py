"""The commands of `gradlab` besides `serve`: run, tune, probe, check and export."""
