`buildbot-lite package build --scratch` builds packages that enter no repository, and `--priority` gives a job a lower priority than others.
