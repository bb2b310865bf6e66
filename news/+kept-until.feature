`package show` says until when the root of a failed build is kept, and how to enter it (`kept_until` of an architecture in JSON).
