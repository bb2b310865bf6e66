"""
Where 0.1.0 had `MISSING`: configurations that it stored for builds still import it from here.
"""

from .config.mistakes import MISSING

__all__ = ["MISSING"]
