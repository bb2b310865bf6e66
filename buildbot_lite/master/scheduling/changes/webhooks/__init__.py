"""
Webhooks of forges: from a request's bytes to changes, by pure functions.

::

    Delivery ──► signatures.check ──► reading.read ──► github | gitlab | gitea | bitbucket ──► HookReport

A signed payload still contains untrusted text: any contributor chooses the messages of commits, the names of branches,
and the title of a pull request.  Only the data that the forge itself generates are reliable: numbers, commits, and the
repositories that a pull request connects.
"""
