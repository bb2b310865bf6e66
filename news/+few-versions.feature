With `versions=N` the public repository of a target has the latest N versions of each package. An older version that is published stays until the next one is.
