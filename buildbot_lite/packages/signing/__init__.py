"""
The farm's side of signing: which bytes are signed, where signatures are stored, and what may become public.

::

    questions of signers ──► signing_desk ──► signing_round ──► signing_jobs, offers         which jobs, which files
                                                  │
                                                  ├──► wanted_signatures ──► rpm_signature, release_signature
                                                  │                            what is signed, and where signatures go
                                                  └──► signed_files ──► signature_store;  keys.verification checks
    jobs that go on ──► signed_repository ──► signed_snapshot, repo_script
    signing_service    both of these in a running master

The master sends the bytes to be signed: the header of an RPM package (a few kilobytes, including the digest of the
payload), a Release, a repomd.xml.  The signer (`packages.signer`) sends signatures back.  All of them are detached, so
a signer's answer cannot change the signed bytes.  The master has public keys only.
"""
