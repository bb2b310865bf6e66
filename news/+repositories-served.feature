The web process serves the public repository of each target below `/repositories/TARGET/`, for `apt` and `dnf`; the page of the target shows the lines to use it.
