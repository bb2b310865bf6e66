"""
The FURLs that this master handed out: what each designates, in which files people find them, where they lead.
"""
