"""
Signatures of repositories: what is signed, how a signature gets to its place, and whether it is the right one.

::

    signer's machine                                 master, which has the public key only
    gnupg ──► their gpg                              rpm_signature, release_signature     what is signed, and where
      │                                                │                                  the signature goes
      ▼                                                ▼
    signable ──► rpm_header                          verification ──► gpgv, rpmkeys
                                                       │
                                                       ▼
                                                     openpgp                              keys and signatures as bytes

What travels is what a signature is made of: the header of an RPM package (a few kilobytes, with the digest of the
payload in it), a Release, a repomd.xml; and the signatures back.  All of them are detached signatures, so a signer's
answer cannot change what it is about.
"""
