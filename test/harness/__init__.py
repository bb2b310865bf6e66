"""
What a run of the tests owes to those who wait for it, as plugins of pytest that ``test/conftest.py`` loads.

`outcomes`: two runs on different machines add up to one in which no test is skipped.
"""
