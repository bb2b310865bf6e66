"""
Public keys, and what they sign: signatures as the farm wants them of signers (`wanted_file`, `signature_ids`), and
their check by gpgv and rpmkeys (`openpgp`, `verification`).  No secret key is ever here.
"""
