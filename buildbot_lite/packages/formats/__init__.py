"""
What packages are: sources and built packages of Debian and RPM, read and compared.  It knows nothing of farms.

``submitted_package``   the source package in a submitted file; ``git_request``: a revision in its place
``source_package``      what its metadata say; ``debian_source``, ``rpm_source``: of each family
``architectures``       for which it is built; ``debian_architectures``: names and wildcards of Debian
``built_packages``      what a build made, compared with the source; ``built_deb``, ``built_rpm``: of each family
``joined_builds``       the packages of all builds of a job
``rpm_differences``     in what two RPM packages of one name differ, by their headers
``package_description`` what a package says about itself, from ``deb_file`` or ``rpm_file``
``control_text``        control files of Debian; ``rpm_header``: headers of RPM
"""
