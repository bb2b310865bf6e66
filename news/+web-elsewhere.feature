`grant watch --web` makes the string of a web process that is not beside the master; `--label "web pages"` does not any more.
