"""
What can be asked of the farm's memory and done to it: plain functions over a connection, one module to a noun.

They run inside `Writer.write` or `Writer.read`, answer frozen rows, and know nothing of threads.  Times (*now*, in
seconds since 1970) come in by argument.

``settings``    single values          ``requests``   buildsets and their requests
``grants``      who may do what        ``builds``     attempts at a request
``generations`` configurations         ``steps``      their steps
``slaves``      what slaves said       ``journal``    what a build asked of the world
``inputs``      what was submitted     ``streams``    which bytes belong to which step
``feed``        the order of events    ``remarks``    lines of ours beside a log
"""
