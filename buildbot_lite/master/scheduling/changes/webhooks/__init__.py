"""
Webhooks of forges: from a request's bytes to changes, by pure functions.

::

    Delivery ──► signatures.check ──► reading.read ──► github | gitlab | gitea | bitbucket ──► HookReport

A signed payload is still text of others: everybody chooses the messages of commits, the names of branches, and the
title of a pull request.  The forge vouches only for what it made itself: numbers, commits, and which repositories a
pull request connects.
"""
