"""
What this process knows of the farm: records that it reads itself, what the running master says, news, metrics.
"""
