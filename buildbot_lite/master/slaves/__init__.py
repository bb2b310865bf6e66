"""
The slaves: which are configured, which are connected, and the commands that run on them.

::

    grants ──► desk ──► registry ──► session ──► session_machine ──► session_core ──► the slave of the present link
               │           │ member    ▲ builds run commands                │
               │           │ slots     │ in it, whatever                    ▼
    attach_limit        missing        │ becomes of links           command ──► command_streams, files of the build
"""
