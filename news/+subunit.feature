The step `SubunitShellCommand` counts the tests in a subunit stream.
