"""
Targets in master.cfg, and their schedulers.
"""
