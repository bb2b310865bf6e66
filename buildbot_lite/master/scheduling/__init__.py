"""
Which builds run, when, and where: from a submission to the end of its requests.

::

    submission   takes what is asked for: buildsets and their inputs, within the limits of a grant (submit_limits)
    requests     keeps each request until it has a result; queue chooses the next one and its slave (can_start)
    runner       starts the builds, resumes them after a restart, and ends them
"""
