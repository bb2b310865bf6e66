"""
Bounds on what peers can cost, before and after they have presented a valid FURL.

``unauthenticated``  connections without a valid FURL: number, bytes, time
``per_address``      which of them is cut when there are too many
``client_hello``     the length of the first message of a TLS handshake
``handshakes``       the CPU time for them
``preauth``          slaves and clients that skip the queue for handshakes
``cpu_share``        CPU time for one authenticated link
``account``          limits that all FURLs of one holder share
``call_bounds``      the number and bytes of calls that are not answered
``send_backlog``     answers that a peer does not read
``unslicing``        the size of received tokens, checked before they are in memory
``limited_log``      log lines
"""
