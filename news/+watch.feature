`buildbot-lite watch [BUILDER [NUMBER]]` shows the farm, a builder, or a build with the end of its log in the terminal, live. `--furlfile -` reads the string of a command from standard input.
