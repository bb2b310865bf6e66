Submitters of packages get mail about the end of their jobs, with the last lines of the log that matters: through the first `MailNotifier`, to the address in the label of their string.
