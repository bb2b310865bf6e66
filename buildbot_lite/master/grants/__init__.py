"""
The FURLs that this master handed out: what each designates, in which files people find them, where they lead.

``verbs``        what a FURL permits its holder to do, and the object that it leads to
``registry``     makes and revokes grants; ``designated``: the objects of FURLs that peers present
``live_grants``  the grants in force, in memory; ``uses``, ``pins``: how often and by whom they are used
``location``     the FURL of a grant: the hosts and ports at which this master is (``listening``)
``publisher``    the FURLs that the farm has by itself, in files (``furl_files``)
``web_furls``    those of the web process beside the master
"""
