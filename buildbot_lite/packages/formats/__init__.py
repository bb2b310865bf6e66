"""
What packages are: sources and built packages of Debian and RPM, read and compared.  It knows nothing of farms.
"""
