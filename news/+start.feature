``buildbot-lite start DIR``; ``log`` and ``artifacts`` take a build as lists name it, ``hello/1``.
