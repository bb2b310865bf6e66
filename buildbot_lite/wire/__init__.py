"""
The protocol between master, slaves and clients.  The only importer of Foolscap.

``roles``            the interfaces of master and slave, as Protocols; the rest of the program knows only these
``contract``         every remote call, its schema, and every bound
``furl``             FURLs: parsing, checking, building
``certificate``      the private key behind a Tub, in a file of mode 0600
``tub``              a Tub with every option set explicitly
``endpoint``         TCP endpoints, and sockets bound to them
``ports``            the ports at which a Tub listens, changed while it runs
``probe``            whether an address leads to a certain Tub
``reconnecting``     keeping a slave connected: the only code that reconnects
``exposed``          the objects that the other side may call: check the right, decode, forward
``proxies``          the other side's objects, with the types of the roles
``codec``            the small JSON documents that no module of ``model/`` owns
``flapp``            the objects that a stock ``flappclient`` may call: submissions and uploads
``flapp_roles``      the roles of submissions and their clients
``control``          the questions of the ``buildbot-lite`` command
``client``           the command's side of them; ``control_client``: that of a process that asks all the time
``shells``           an open shell; ``shell_window``: how much of it may be on its way
``loopback``         the roles in one process, over a link that can be cut
``failures``         failures on the wire: the class's name and a sentence
``broker``           one connection: bounds, release of memory
``link_broker``      how a connection ends; the ``roles.Link`` that others see of it
``reference_broker`` the references that a connection holds
``token_broker``     how a connection reads and writes tokens
``byte_queue``       the bytes that it received and has not parsed
``keepalive``        detects a peer that does not answer
``flow_control``     how many bytes may be in flight
``traffic``          what connections have carried
``limits``           bounds on what a peer can cost
"""
