The page of a job of packages has the logs of each architecture, and the end of the one that failed or runs.
