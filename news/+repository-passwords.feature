apt and dnf get packages of a private farm from the web process with a string as their password (HTTP Basic).
