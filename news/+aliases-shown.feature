`package targets` shows the aliases of each target (`aliases` in JSON and in the API).
