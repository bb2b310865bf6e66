The master syncs long logs and files while it receives them, so that a build waits a tenth of a second less after 100 MiB.
