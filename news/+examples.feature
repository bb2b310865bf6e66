docs/examples has five whole farms, which the tests run as they are: a C project, a Python project, a monorepo, a nightly build with a mail, and a project at GitHub.
