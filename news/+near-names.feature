A misspelt command, option, builder, slave, scheduler, string, step, log or artifact is answered with the name that was probably meant.
