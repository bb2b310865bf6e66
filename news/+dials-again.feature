A slave that cannot reach its master dials again more often at first, and a connection that waits in a crowd of others for
its TLS handshake is closed after five seconds instead of being forgotten about: it is sooner there again.
