"""
How master, slaves and clients speak: the only importer of Foolscap.

``roles``        who asks what of whom, as Protocols; everybody else knows only these
``contract``     what may travel, and how much of it: every schema and every bound
``furl``         the one string: reading it, checking it, putting it together
``certificate``  the key behind a Tub, in a file that was private from birth
``tub``          a Tub with every option set on purpose
``reconnecting``     keeping a slave connected: the only code that dials again
``exposed``      what the other side may call: translate, check the right, forward
``proxies``     what we call on the other side, typed like the roles
``flapp``        what the stock ``flappclient`` may call: submissions and uploads
``control``      what the ``buildbot-lite`` command may ask
``client``       the command's side of it
``loopback``       the same roles in one process, nothing between but a link that can be cut
``failures``      how a failure crosses the wire: as its sentence, and nothing else
``broker``       one connection: its bounds, its garbage, its end
``keepalive``        whether the peer is still there
``flow_control`` how much may be on its way at once
``send_backlog``       whether it reads what we send
``unslicing``    reading tokens, each bounded before it is in memory
``unauthenticated``    connections that have not shown a valid string yet
``per_address``        which of them goes when they are too many
``handshakes``        how much of our time they get
``preauth``        which connections need not wait among them
``cpu_share``        how much of it one link gets
"""
