"""
How a command asks a master.

A `farm_command` finds the FURL, and which word is DIR; `connection` asks questions over its link, and `lasting_link`
renews a link that is lost.  `resuming` follows over restarts of the master: no byte is lost or printed twice.
`arguments` are the parameters of several commands, `download` is for files that arrive whole or not at all, and
`shell_terminal` is this end of a shell on another machine, with its terminal in
`raw_mode`.
"""
