`checkconfig`, `reconfig` and the start of the master say if the `repo_script` of a target is missing or cannot be run. Before, that was known when packages had been published.
