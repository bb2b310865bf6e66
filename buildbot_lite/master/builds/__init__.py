"""
One running build: its coroutine, its journal, and what its steps cause and leave behind.
"""
