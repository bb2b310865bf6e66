Packages that a slave sends are compared with what the source package may make: another package's name, version or architecture is refused.
