"""
Logs for the pages: their bytes as a terminal shows them, lines and their numbers, search.

Nothing here reads a whole log into memory, and only `terminal` makes HTML of bytes of a log.
"""
