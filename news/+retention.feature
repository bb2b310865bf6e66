`c['retention']` removes old logs, artifacts and builds: by default logs after 30 days or beyond 20 GiB, builds after a year. `buildbot-lite keep BUILDER NUMBER` keeps one for ever.
