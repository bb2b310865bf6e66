Parameters of a `ForceScheduler` take `autopopulate`, and `util.enforceChosenWorker` is accepted as `canStartBuild`.
