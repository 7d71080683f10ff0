"""Training runs and microscope runs: components, the loop, probes and checkpoints.

`loop.train` trains and `microscope.run.run_microscope` measures at a checkpoint; both yield
`records`. This package knows no database and no HTTP.
"""
