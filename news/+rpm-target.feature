Source RPMs are built, too: `RpmTarget` in `c["targets"]`, for base, optional and additional architectures, in clean roots of Debian in which their BuildRequires are enforced.
