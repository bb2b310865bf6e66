"""
master.cfg: loading it in a namespace of its own, checking it, and the configuration that comes out.
"""
