`buildbot-lite grant control --web` prints an address with a one-time code, with which a browser gets a session with the rights of a control string.
