"""
A farm's records made up: many builds in a few seconds, the same every time, with hostile values in every text.
"""
