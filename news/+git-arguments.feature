`Git` takes `getDescription`, `tags`, `retryFetch` and the modes of Buildbot 0.8; `GitHub` and `Gerrit` are here.
