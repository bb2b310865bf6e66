``c['codebaseGenerator']`` is taken: a function that gets the dictionary of a change and returns its codebase. While it fails, the change is not recorded, and its source says why and tries again.
