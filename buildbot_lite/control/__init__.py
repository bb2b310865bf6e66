"""
What the holder of a FURL may call: submissions, administration.
"""
