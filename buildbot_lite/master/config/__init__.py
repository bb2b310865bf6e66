"""
master.cfg: loading it in a namespace of its own, checking it, and the resulting configuration.
"""
