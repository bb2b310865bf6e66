``buildbot-lite furl --replace DIR -`` gives a slave another string and leaves the rest of its ``slave.tac`` as it is.
