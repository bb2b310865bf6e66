"""
Values and pure functions: no Twisted, no input or output.  Also the JSON that travels over the wire.

``results``     how a step, a build, a request ended, and which end is worst
``names``       which names and relative paths are allowed
``spec``        what a step asks of a slave
``outcome``     what became of it
``hello``    what both sides tell each other on attaching
``token_bucket``   how often something may happen
``lease``       how long a command may run while its link is lost
``json_reader``       reading JSON that a stranger wrote
``properties``  the values that a build carries, and how arguments are rendered with them
``wait_reasons``     why a request is waiting
``registry``    extension points: what later packages add from above, by name
"""
