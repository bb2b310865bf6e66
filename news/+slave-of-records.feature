A slave that master.cfg has no longer, or of which the master has not told yet, is in the API as it is on its page; its page says that it is not configured.
