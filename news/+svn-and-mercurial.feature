The steps `SVN`, `Mercurial` and `GitLab` check out sources; passwords reach the program without being shown.
