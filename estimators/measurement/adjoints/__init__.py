"""The adjoint map: how near each adjoint of an equilibrium comes to the exact gradient."""
