The master brings long logs and files to its disk while they come, so that a build waits a tenth of a second less after 100 MiB.
