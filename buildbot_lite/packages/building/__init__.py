"""
How a package is built on a slave: steps, clean roots, and the scripts that run in them.
"""
