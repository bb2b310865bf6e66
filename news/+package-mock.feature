`Mock("fedora-40-{arch}")` is a root for targets of RPM packages: mock builds them, with the configuration that the slave has.
