"""
Scheduling: from a submission to the result of its requests.

::

    submission      makes requests for the holders of submit FURLs, within the limits of a grant (submit_limits), and
                    records what belongs to them (submission_record)
    forcing         makes requests for admins
    triggering      makes requests for running builds
    schedulers      make requests for changes and at certain times; changes has the sources of changes
    buildset_composer   what all of these submit, a new_buildset: sources, builders and priority
    requests        keeps each request until it has a result; request_canceller ends it before, cancelling decides when
                    it is obsolete, collapsing when a newer one replaces it
    queue           holds the waiting requests, a builder_queue for each builder, each with the reason why it waits
    choice          chooses the next request and its slave, unless a hold stops all builds: by turns of submitters,
                    locks (lock_needs), and functions of master.cfg (can_start, preferences, user_answers, views,
                    code_time)
    dispatcher      the loop: a wakeup lets it start what choice returns
    runner          begins, resumes and ends builds, made from their records (preparation)
    running_builds  the table of running builds, for all others; live_changes: what changes without a record
    continuation    a buildset that goes on as another one
"""
