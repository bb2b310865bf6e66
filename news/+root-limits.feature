A build of a package that uses more memory, processes, disk or time than `Overlay(memory=…, processes=…, disk=…, longest=…)` allow is ended with one sentence.
