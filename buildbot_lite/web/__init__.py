"""
The web process: HTTP on one side, a string of the master on the other.

It holds no secret of the farm but that string, and parses nothing of a request's body.
"""
