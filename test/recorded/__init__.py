"""
Databases that earlier versions wrote, for later versions to read; `record` makes the one of this version.
"""
