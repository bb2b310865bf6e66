Mail about a job of packages has the addresses of its builds' pages where `c["buildbotURL"]` is set.
