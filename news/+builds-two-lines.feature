On a narrow terminal `buildbot-lite builds` shows each build on two lines.
