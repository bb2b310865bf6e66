"""
Bounds on what peers can cost, before and after they have shown a valid FURL.

``unauthenticated``  connections that have not shown one: number, bytes, time
``per_address``      which of them is cut when there are too many
``handshakes``       their CPU time
``preauth``          slaves and clients that skip the queue for handshakes
``cpu_share``        CPU time of one authenticated link
``account``          limits that all FURLs of one holder share
``send_backlog``     answers that a peer does not read
``unslicing``        tokens, each bounded before it is in memory
``limited_log``      log lines
"""
