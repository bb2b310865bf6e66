"""
Reporters: what happened on the farm, told to people and services outside.

::

    feed ──► ReporterLoop reads on from where it was ──► generators make messages ──► outbox      (one transaction)
    outbox ──► Reporter.send ──► sent: forgotten   │   failed: again later, after longer and longer times

``details``     what is known of a build, for templates and documents
``generators``  which events lead to a message, and of what content
``formatting``  texts of messages
``reporter``    the base of all reporters
``loop``        reading events and sending messages
``mail``        `MailNotifier`
``http``        `HttpStatusPush` and the commit statuses of GitHub, GitLab and Gitea
"""
