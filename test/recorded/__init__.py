"""
Databases, conversations and keepers of released versions, which later versions must understand.
"""
