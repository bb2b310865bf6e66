"""
Public keys, and what they sign.  No secret key is ever here.

``wanted_file``   a signature as the farm wants it of a signer; ``signature_ids``: its name
``openpgp``       keys and signatures, read
``verification``  their check, by gpgv and rpmkeys
"""
