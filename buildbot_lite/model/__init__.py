"""
Values and pure functions, without Twisted and without input or output.

``display``        printable forms of untrusted text
``hello``          the messages of slave and master when a slave attaches
``interpolation``  values of a build in text
``json_reader``    typed and bounded reading of untrusted JSON
``lease``          how long a command may run while its link is lost
``names``          validation of names and relative paths
``outcome``        how a command ended
``properties``     the properties of a build
``registry``       named extension points
``rendering``      arguments of master.cfg that depend on the build
``results``        results of steps, builds and requests
``round_robin``    turns for groups of different sizes
``spec``           a step's requests to a slave
``token_bucket``   rate limits
``urls``           removal of credentials from URLs
``wait_reasons``   why a request waits
"""
