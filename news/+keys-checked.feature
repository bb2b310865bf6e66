`checkconfig` says when the file of `sign_key` or `keyring` is missing or cannot be used.
