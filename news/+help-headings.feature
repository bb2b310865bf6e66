`buildbot-lite --help` groups the commands under headings, and tells when an option stands before the command that has it.
