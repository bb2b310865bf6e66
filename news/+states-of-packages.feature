Who follows a package reads when each state of an architecture begins (`# building since 17:38:18 UTC`), and `package show` says of a job in the state `pushed` that its `repo_script` runs.
