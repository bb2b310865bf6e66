Secrets also come out of the environment (``secrets.SecretInEnvironment``) and out of ``pass`` (``secrets.SecretInPass``), and are masked in base64 and percent-encoding too.
