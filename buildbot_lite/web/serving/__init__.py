"""
HTTP with bounds: connections, bodies, turns, the names and proxies that are believed.  It knows nothing of farms.
"""
