"""
Signatures of repositories: which bytes are signed, where signatures are stored, and how they are checked.

::

    signer's machine                                 master, which has the public key only
    gnupg ──► their gpg                              rpm_signature, release_signature     what is signed, and where
      │                                                │                                  the signature goes
      ▼                                                ▼
    signable ──► rpm_header                          verification ──► gpgv, rpmkeys
                                                       │
                                                       ▼
                                                     openpgp                              keys and signatures as bytes

The master sends the bytes to be signed: the header of an RPM package (a few kilobytes, including the digest of the
payload), a Release, a repomd.xml.  The signer sends signatures back.  All of them are detached, so a signer's answer
cannot change the signed bytes.
"""
