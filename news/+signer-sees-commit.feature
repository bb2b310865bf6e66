`package sign` shows the repository, the revision and the commit of source packages that the farm made from git, also right before the question; `package show` shows the whole commit.
