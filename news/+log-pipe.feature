`buildbot-lite log` into a pipe needs a seventh less processor time.
