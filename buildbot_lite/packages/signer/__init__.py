"""
The signer's side of signing, on the signer's own machine: it trusts the farm with nothing, and needs none of what a
master needs.

``signer`` leads through a round, ``offered`` has what the farm offers for it, ``signable`` describes the bytes to be
signed, ``gnupg`` calls the signer's gpg.
"""
