A Submit scheduler with `stdin=` and `file=` takes both `run-command` and `upload-file`, and `stdin="file"` takes any bytes.
