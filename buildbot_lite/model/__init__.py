"""
Values and pure functions, without Twisted and without input or output.

``change``         a change to source code, and ``change_view``: its form for functions in master.cfg
``code_owner``     whose code runs: the user's, ours, or a library's
``command_lines``  how commands of a build are shown
``display``        printable forms of untrusted text, and of times
``estimates``      how long builds take, and when waiting ones start
``extension``      a service of a higher package in a running master
``git_refs``       names of git references
``hello``          the messages of slave and master when a slave attaches
``histogram``      counts of durations
``holder_name``    the holders of strings as people know them
``http_request``   HTTP requests of steps
``input_kinds``    kinds of submitted inputs, recognised by their beginnings
``interpolation``  values of a build in text
``json_reader``    typed and bounded reading of untrusted JSON
``lease``          how long a command may run while its link is lost
``locks``          what builds and steps need of locks
``machines``       names of machines, and the architectures whose programs they run
``names``          validation of names and relative paths
``operations``     operators of renderables
``outcome``        how a command ended
``patch_base``     the commit from which a patch was made
``properties``     the properties of a build
``registry``       named extension points
``rendering``      arguments of master.cfg that depend on the build
``requester``      who asked for a build
``results``        results of steps, builds and requests
``round_robin``    turns for groups of different sizes
``shell_request``  the request to open a shell on a slave
``source_stamps``  which code a buildset builds
``spec``           a step's requests to a slave
``suggestions``    names that a user may have meant
``time_limit``     time limits for a user's code, and ``user_functions``: for functions in master.cfg
``token_bucket``   rate limits
``urls``           removal of credentials from URLs
``wait_reasons``   why a request waits
``webhook``        webhooks between the web process and the master
``whole_numbers``  whole numbers in texts of others
"""
