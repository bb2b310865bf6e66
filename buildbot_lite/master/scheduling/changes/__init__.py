"""
Changes to source code: where they come from, and how they are recorded.

::

    pollers, sendchange, hooks, webhooks ──► ChangeRecorder ──► records ──► schedulers read on from where they were
"""
