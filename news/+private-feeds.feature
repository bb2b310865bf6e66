Readers of news read the feeds of a private farm: with a string as the password.
