Secrets are also masked as JSON, XML, quoted-printable, shells (`set -x`) and literals of programming languages spell them. docs/security.md lists the forms that are not masked.
