`BuildSlave(notify_on_missing=[…], missing_timeout=…)`: a mail when a slave stays away.
