"""
Reporters: messages about builds and slaves, to people and to other services.

::

    feed ──► ReporterLoop reads on from where it was ──► generators make messages ──► outbox      (one transaction)
    outbox ──► Reporter.send ──► sent: forgotten   │   failed: again later, after longer and longer times

``details``     the data of a build, for templates and documents
``generators``  the events that lead to a message, and its content
``formatting``  texts of messages
``reporter``    the base of all reporters
``loop``        what one reporter does, again and again: ``reading`` makes messages of events, ``sending`` sends them
``calls``       the methods of one reporter, each within its limits
``event_reports``  the events, with their builds
``reporters``   all reporters of the farm
``mail``        `MailNotifier`; ``smtp`` sends its mails, over the farm's ``mail_connections``
``http``        `HttpStatusPush`
``commit_status``  the commit statuses of GitHub, GitLab and Gitea
"""
