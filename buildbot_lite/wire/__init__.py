"""
How master, slaves and clients speak: the only importer of Foolscap.

``roles``        who asks what of whom, as Protocols; everybody else knows only these
``contract``     what may travel, and how much of it: every schema and every bound
``furl``         the one string: reading it, checking it, putting it together
``certificate``  the key behind a Tub, in a file that was private from birth
``tub``          a Tub with every option set on purpose
``dialling``     keeping a slave connected: the only code that dials again
``exposed``      what the other side may call: translate, check the right, forward
``adapters``     what we call on the other side, typed like the roles
``flapp``        what the stock ``flappclient`` may call: submissions and uploads
``control``      what the ``buildbot-lite`` command may ask
``client``       the command's side of it
``memory``       the same roles in one process, nothing between but a link that can be cut
``refusal``      how a failure crosses the wire: as its sentence, and nothing else
``broker``       one connection: its bounds, its garbage, its end
``pulse``        whether the peer is still there
``unread``       whether it reads what we send
``unslicing``    reading tokens, each bounded before it is in memory
``strangers``    connections that have not shown a valid string yet
``crowd``        which of them goes when they are too many
``turns``        how much of our time they get
``knock``        which connections need not wait among them
``share``        how much of it one link gets
"""
