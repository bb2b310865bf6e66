"""
What a command prints.

`printing` is standard output and standard error; a `writer` is the thread that writes followed output.  Documents of
the master are `tables`: those of builds are `build_tables`, those of packages `job_tables`.  `layout` makes a table
fit the terminal, `two_lines` gives a row two lines, and `cells` are single values.
"""
