`c['www']` takes `port`, `private` and `trusted_proxies` for the web process. Buildbot's other entries get a remark each that says what happens instead; an unknown entry is now a mistake.
