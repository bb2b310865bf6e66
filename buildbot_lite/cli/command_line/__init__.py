"""
Words of the command line.

`groups` is where modules define commands; `quantities` are durations, sizes and times, `build_names` BUILDER/NUMBER.
`next_commands` are the command lines that people are told to run next.
"""
