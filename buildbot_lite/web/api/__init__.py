"""
The API: JSON documents of everything that a page shows, their description, and the stream of the farm's events.
"""
