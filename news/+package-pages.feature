Packages have pages: jobs by target and state with each architecture, one job with its builds and its package's history, and what each target has built.
