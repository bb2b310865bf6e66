"""A build farm in which a slave is one string."""

__version__ = "0.1.0"
