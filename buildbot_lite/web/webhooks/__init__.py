"""
Webhooks: from a forge's request to the master, and the reply back.
"""
