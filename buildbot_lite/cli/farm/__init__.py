"""
Commands about a running farm: `show` (status, queue, slaves, builders, schedulers), `slaves` (pause, unpause, unpin,
drain, lost), `grant` with a command for each right, `grants` (grants, revoke, rotate), and `changes` (sendchange,
changes).
"""
