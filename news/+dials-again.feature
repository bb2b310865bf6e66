A slave attaches, and the `buildbot-lite` command is heard, also beside a flood of connections from their own address:
they *knock*, and so do not wait for their handshake among strangers. A slave that cannot reach its master dials again more
often at first.
