"""
One running build: its coroutine, its journal, the effects of its steps, and their files.
"""
