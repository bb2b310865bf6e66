The page of a target lists the packages of its repository, with versions, architectures and sizes, and has the commands for apt and dnf ready to be copied.
