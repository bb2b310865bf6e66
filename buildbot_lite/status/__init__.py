"""
The read-only view of builds for people and programs.

``documents``        the running farm and its queue as JSON; ``build_documents``: changes, builds and artifacts,
                     made of ``build_rows``;
                     ``build_details``: the page of one build; ``slave_documents``; ``outbox_documents``;
                     ``force_forms``
``farm_metrics``     figures about the running master, for monitoring
``farm_news``        news of the whole farm, for clients that show it
``estimating``       how long builds take, and when waiting requests will start
``build_filter``     the filter of a question about builds
``following``        requests as they proceed: the log, remarks, the exit code
``log_output``       logs of one build, whole or as they grow
``explaining``       the reason for which a request waits, sent to its followers
``send_window``      flow control towards one client
``reporters``        messages about builds, to people and to other services
``ingestion_first``  followers yield to the ingestion of running builds
"""
