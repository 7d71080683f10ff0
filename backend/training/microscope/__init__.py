"""The microscope: measuring estimators at a checkpoint of a run.

`run.run_microscope` is the entry. A request is of one of five kinds, a module each: `draws`,
`sweep` (over a field), `anatomy` (of the variance), `one_step` (a draw taken as an update) and
`adjoint_map` (every adjoint of an equilibrium beside the exact gradient).
"""
