A build is forced on its builder's page, with a form made from the ForceScheduler's parameters, by holders of a string to control the farm.
