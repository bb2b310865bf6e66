"""
What people see.

``following``    a request, told to whoever watches: the log, remarks, the exit code
``submissions``  what the holder of a submission's or a watch string can do
``admin``      what the ``buildbot-lite`` command can ask a running master
``documents``    the stable JSON that it answers
``log_output``      logs, whole or as they grow
``send_window``  what is on its way to one client
``ingestion_first``  builds before those who watch them
``tables``       the same for people at a terminal
"""
