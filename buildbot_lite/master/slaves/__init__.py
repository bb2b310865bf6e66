"""
The slaves: which are configured, which are connected, and the commands that run on them.
"""
