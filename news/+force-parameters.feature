``ForceScheduler`` takes parameters of all kinds, which ``buildbot-lite force`` checks; ``buildbot-lite schedulers`` shows
what each scheduler waits for, when it fires next, and its last error.
