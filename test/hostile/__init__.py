"""
Hostile connections to a real master: their cost in memory, and in throughput of builds.

``connections``  the behaviours of unauthenticated peers
``attack``       a flood of them, in its own process
``calls``        a slave that makes calls without end
``queries``      a client with a watch string that sends queries without end
``measure``      the master's memory and throughput meanwhile
``fuzz``         a million inputs from a seed (``inputs``)
"""
