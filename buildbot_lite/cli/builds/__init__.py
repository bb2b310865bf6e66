"""
Commands about builds.

`builds` are force, rebuild, cancel, log, artifacts and keep; `history` is what was: builds, last-good.  `trying`
submits the patch that `working_tree` makes; `follow` shows a request by its watch string.  `submitted` follows what
was submitted, several requests `side_by_side`, over restarts of the master.
"""
