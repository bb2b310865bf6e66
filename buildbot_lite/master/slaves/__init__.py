"""
The slaves: who is configured, who is connected, and the commands that run on them.
"""
