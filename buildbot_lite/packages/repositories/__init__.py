"""
Repositories of packages, published as snapshots.

::

    service, signing ──► repository ──► next_snapshot ──► snapshots    what clients see; what changes; directories
                                             │
                                             ▼
          debian_metadata | rpm_metadata ──► tools      what apt and dnf read; the programs that write it
                                 │
                                 ▼
                   joined_lists, created_lists, primary_metadata       the lists for dnf, copied and cut
    package_files                                       measured, and linked from tree to tree
    package_versions ──► versions                       which are older

    building ──► for_builds                             what a slave gets of a repository for one build

A repository is a directory with these entries::

    lock                    locked by the one process and thread that writes
    build, public           symlinks to the tree of the current snapshot of each kind
    snapshots/KIND-N-XXXX/  one snapshot:
        tree/               what clients see
        snapshot.json       what is in it, and when it was published
        state/              what the next snapshot of the kind is made of

Publishing is one rename(2) of one symlink, so a reader sees the old tree or the new one.  A client that has read the
index of the old one finds its files in the new one as well, for a day: files whose names are unique (packages, apt's
``by-hash``, the metadata with digests in their names) are hard links from tree to tree.
"""
