`package show` says until when, at most, the root of a failed build is kept, and how to enter it (`kept_until` of an architecture in JSON; null if the slave did not keep the root).
