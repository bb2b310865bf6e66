`Sbuild("bookworm")` is a root for targets of Debian's packages: sbuild builds them, as an ordinary user.
