"""What the figures of a microscope read: adjoint maps, one-step draws, sweeps, variance splits."""
