Builds of packages see the packages that the farm has built before them, also where the distribution has a later version.
