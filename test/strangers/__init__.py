"""
Hostile connections against a real master: how much memory they cost, and what they cost builds.

``hostile``  everything that a stranger sends, as a list of habits
``measure``  the memory and the throughput of a master meanwhile
``fuzz``     a million inputs, made from a seed
"""
