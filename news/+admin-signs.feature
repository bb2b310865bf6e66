`package sign` and `package push` take DIR or `-C DIR`, like all other commands, for an admin with a key.
