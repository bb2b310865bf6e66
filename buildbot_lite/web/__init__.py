"""
The web process: HTTP on one side; on the other the farm's records, which it reads, and a string of the master.

``site``         an HTTP server with bounds         ``root``         webhooks, and pages at every other address
``hooks``        webhooks                           ``routes``       all pages, by address
``live``         what only the master knows         ``page_request`` what is asked for, and who asks
``sessions``     holders of grants                  ``view``         the farm and an answer, as pages see them
``rendering``    templates, links, durations        ``pages``        how a request is answered
``assembly``     puts it together                   ``pages_…``      one module for each page or pair of pages
``priority``     pages come after builds            ``heap``         what was freed goes back
``logs``         lines of logs, search in them      ``farm_logs``    what all readers of logs share

It never loads master.cfg, and reads nothing below the master's ``private``.  It holds no secret of the farm but its own
strings.
"""
