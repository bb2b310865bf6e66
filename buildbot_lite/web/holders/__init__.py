"""
Who asks: sessions of browsers, strings that programs bring, and what the master says of these.
"""
