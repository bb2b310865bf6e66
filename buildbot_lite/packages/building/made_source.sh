# Make a source package of the checkout in "tree", as out/source.tar:
#
#     sh -euc "$(cat made_source.sh)" sh "" "" "" "" FAMILY
#
# For FAMILY "rpm", rpm.sh comes before this script, and the first four arguments are those of rpm.sh, without VERBS.
# Modes and times are the same for each checkout of a commit, so that its source package is the same, too.
family=$5
SOURCE_DATE_EPOCH=$(cat epoch)
export SOURCE_DATE_EPOCH
mkdir -p out made

with_fixed_times() { # DIRECTORY
    chmod -R u=rwX,go=rX "$1"
    find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

make_dsc() {
    cp -R tree made/tree
    find orig -type f -exec cp --no-preserve=all -t made {} +
    with_fixed_times made
    cd made
    dpkg-source --build tree
    rm -rf tree
    cd ..
}

make_srpm() {
    top=$PWD/rpmbuild
    mkdir -p "$top/made"
    cp -R tree "$top/tree"
    with_fixed_times "$top/tree"
    set -- "$top"/tree/*.spec
    [ $# = 1 ] && [ -f "$1" ] && [ ! -L "$1" ] || {
        [ -e "$1" ] || set --
        fail "the repository has $# spec files in its first directory, and one is needed"
    }
    macros >"$top/.rpmmacros"
    [ -z "$user" ] || chown -R --no-dereference "$user" "$top"
    as_user rpmbuild --nodeps --define "_sourcedir $top/tree" --define "_srcrpmdir $top/made" \
        --define "_source_filedigest_algorithm 8" -bs "$1"
    find "$top/made" -type f -name '*.src.rpm' -exec cp --no-preserve=all -t made {} +
}

if [ "$family" = deb ]; then make_dsc; else make_srpm; fi
cd made
find . -type f -printf '%P\0' | sort -z |
    tar --create --file=../out/source.tar --null --files-from=- --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner --mode=u=rw,go=r
cd ..
rm -rf made
