The steps `GitCommit`, `GitTag` and `GitPush` write to git repositories.
