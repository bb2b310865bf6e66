"""
Bounds on what peers can cost, before and after they have shown a valid FURL: connections, handshakes, bytes, CPU time.
"""
