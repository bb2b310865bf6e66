Secrets are also masked as JSON, XML, quoted-printable, shells (`set -x`) and literals of programming languages spell them. What is not masked is listed in docs/security.md.
