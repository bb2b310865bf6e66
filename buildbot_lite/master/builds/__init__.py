"""
A running build: its coroutine, its journal, its records and its streams.
"""
