A master, slaves that are one string each, submission with the stock ``flappclient``.  Builds go on through lost connections, restarts and crashes of either end; logs are exact.
