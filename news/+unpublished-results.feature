Results of jobs of packages that ended without being published are removed after two weeks.
