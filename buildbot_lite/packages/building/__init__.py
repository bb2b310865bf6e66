"""
How a package is built on a slave: steps, clean roots, and the scripts that run in them.

::

    targets ──► steps, rpm_steps, source_steps ──► root: debian_roots (Overlay) | sbuild | mock | plain
                  │                                  └──► programs, overlay, debian_scripts ──► *.sh, on the slave
                  ├──► farm_repository     the packages that the farm built before
                  ├──► same_packages       for a rebuild: those that the first build had in its root
                  ├──► apt_complaint       what is missing, in a sentence
                  ├──► kept_roots          the root of a build that failed stays for a time, for a shell
                  └──► leftovers           what a killed build left, for the slave to remove

A root of `Overlay` is a base of Debian, which all builds on a slave share, below an overlay of the build's own;
``overlay.sh`` makes both.  The programs sbuild and mock make their own roots.  ``git_sources`` and ``checkout_limit``
are for `source_steps`.
"""
