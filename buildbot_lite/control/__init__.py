"""
The objects that holders of FURLs call.

``verbs``           the verbs of FURLs: what each permits and leads to
``admin``           questions about builds, and the dispatch of all questions
``admin_grants``    questions about grants; likewise ``admin_slaves``, ``admin_changes``, ``admin_marks``
``questions``       questions that packages above the master answer
``rights``          which strings permit which question, and the refusal that names the right one
``log_tails``       the question for the end of a step's log
``followers``       a client that follows a log, in the forms that the senders of logs need
``submissions``     submitting a build; ``watched_requests``: watching what was requested
``input_receiver``  the input of a submission, from its client to the store
``changes``         changes that hooks report; ``change_lines`` reads their lines
``webhooks``        deliveries of forges, from the web process
``web_answers``     questions of the web process; ``web_codes``: one-time codes for browsers; ``web_sessions``: the
                    strings of their sessions
``shell_relay``     bytes between a shell on a slave and its client
"""
