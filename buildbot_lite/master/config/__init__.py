"""
master.cfg: how it is loaded, isolated from others, and checked, and the resulting configuration.
"""
