"""
The web process: HTTP on one side; on the other the farm's records, which it reads, and a string of the master.

Imports go down only; ``lint-imports`` holds it::

    assembly                 puts it together
    root                     the site: webhooks below one address, pages at every other
    routes | dispatcher      all addresses; how a request is answered
    api                      JSON, its description, server-sent events
    pages                    one module for each page or pair of pages
    replies                  answers that take long or are given again
    view                     the farm and an answer, as pages see them
    holders                  who asks: sessions and strings
    page_request | refusals  what is asked for; which status an error has
    logs                     lines of logs, and search in them
    farm                     what this process knows of the farm
    webhooks                 from a forge's request to the master
    html | serving           from documents to HTML; HTTP with bounds

A page::

    serving.site ──► root ──► dispatcher ──► a route of pages or api ──► view.records, view.live ──► templates ──► Reply

A log, while it is written (the master has its bytes in a file)::

    the master: "this file has grown" ──► farm.master_watch ──► pages.log_following, which the browser waits for
        ──► logs.farm_logs ──► logs.windows, of lines as logs.terminal shows them ──► static/log.js

A right: `dispatcher` lets only holders of strings see a private farm (`holders.sessions`; `view.Route.is_open`);
`page_request.permitted` asks whether the string permits what a page does.  The master decides: each change is asked of
it with the visitor's own string.

``templates`` and ``static`` are what browsers get.  This process never loads master.cfg, and reads nothing below the
master's ``private``.  It holds no secret of the farm but its own strings.
"""
