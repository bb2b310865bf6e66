`buildbot-lite package build TARGET hello_2.10-3.dsc` checks a source package, sends it with the files that it lists, and shows the logs of all architectures side by side.
