"""Series of a run: their points, units, and the names of what the microscope measures.

The worker streams these points while it measures; a notebook makes them of finished results. The
same code names them, so that both draw the same figures. It depends on `estimators` alone.
"""
