"""
Public keys, and what they have signed: by gpgv and rpmkeys.  No secret key is ever here.
"""
