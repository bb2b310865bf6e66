"""
``buildbot-lite watch``: the farm, a builder or a build, live in the terminal.

The `command` asks for `documents`, of which `views` makes rows (`line_columns`, and the `coloured_tail` of a log).
`screen_layout` gives each section its part of the `screen`, which decodes `keys`; `navigation` is what they do.
"""
