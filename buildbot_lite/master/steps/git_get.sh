# Get the sources that a `Git` step asks for:
#
#     git_get.sh MODE LINKS URL BRANCH REVISION OPTION…
#
# MODE: what to do with files that are not in the repository: "keep" them; "clean": remove those that are not ignored;
# "fresh": remove them all.  LINKS: "get" submodules, or "leave" them.  BRANCH and REVISION may be empty.  OPTION: for
# git fetch.  If GIT_GET_LISTED is in the environment, a commit must be one that the branches and tags of URL lead to:
# servers of many forks have the commits of all of them in each.  Exit codes: 0: success; 3: the repository has no such revision; any other: git failed.
#
# Earlier builds could write to the working directory and the .git in it, and a git process there may have been killed at
# any time.  Whatever they left, two things must hold: git uses our credentials only for the fetches below, and the files
# at the end are those of the commit.  So an old .git is never used as it is: `renew` says what is kept of it.

mode=$1 links=$2 url=$3 branch=$4 revision=$5
shift 5
options=$*
unset CDPATH
cd -P . && root=$PWD
tab='	'

NO_SUCH_REVISION=3
DAMAGED=4
MUCH_TO_PACK="there is much to pack in"

# The ref of what is fetched.  It is the same for all branches: git cannot store a branch "a/b" beside a branch "a",
# which the next build may find renamed.
FETCHED=refs/fetched/it
# The commit that was checked out last.  It is needed when the index was lost.
CHECKED_OUT=refs/fetched/checked-out

# Print the name of the action that begins.  The master reads these lines, and names the last one after a failure.
say() { printf '==> %s\n' "$*"; }

remove() {
    rm -rf -- "$@" 2> /dev/null || { make_writable "$@"; rm -rf -- "$@"; }
}

make_writable() {  # Some tools, such as Go's, make the directories of their caches read-only.
    find "$@" -type d ! -perm -700 -exec chmod u+rwx {} \; 2> /dev/null
}

is_directory() { [ -d "$1" ] && [ ! -L "$1" ]; }
is_file() { [ -f "$1" ] && [ ! -L "$1" ]; }

# Prepare the repository.  Of an old one, keep only what can be verified or does no harm: objects, whose names are the
# hashes of their contents; refs that were fetched; and the index as the last checkout left it.  Remove and make anew
# everything else: configuration, hooks, HEAD, alternates, grafts, replacements, local branches and tags, and locks of
# git processes that were killed.  Sets *old* if there were objects.
renew() {
    say "prepare a repository"
    command -v git > /dev/null || { echo "fatal: there is no program git on PATH"; return 127; }
    is_directory "$GIT_DIR" || { remove "$GIT_DIR" && mkdir -p "$GIT_DIR"; } || return
    [ -w "$GIT_DIR" ] && [ -x "$GIT_DIR" ] && [ -r "$GIT_DIR" ] && { [ ! -d "$GIT_DIR/objects" ] ||
        { [ -w "$GIT_DIR/objects" ] && [ -w "$GIT_DIR/objects/pack" ]; }; } || make_writable "$GIT_DIR"
    old=
    # Files would be removed in the directory that the link leads to.
    [ ! -L "$GIT_DIR/objects" ] || rm -f "$GIT_DIR/objects" || return
    set -- "$GIT_DIR~new"
    for each in "$GIT_DIR"/objects/*; do
        case ${each##*/} in pack | ??) is_directory "$each" && old=yes && continue ;; esac
        set -- "$@" "$each"
    done
    for each in "$GIT_DIR"/* "$GIT_DIR"/.[!.]*; do
        case ${each##*/} in
            objects | modules) is_directory "$each" && continue ;;
            lfs) [ "$mode" != keep ] && is_directory "$each" && continue ;;
            refs) [ -n "$old" ] && is_directory "$each" && continue ;;
            packed-refs | shallow | checked-out) [ -n "$old" ] && is_file "$each" && continue ;;
        esac
        set -- "$@" "$each"
    done
    for each in "$GIT_DIR"/refs/*; do
        case ${each##*/} in fetched | remotes) is_directory "$each" && continue ;; esac
        set -- "$@" "$each"
    done
    for each in "$GIT_DIR"/refs/fetched/*; do
        case ${each##*/} in it | checked-out) is_file "$each" && read -r hash < "$each" && is_hash "$hash" && continue ;; esac
        set -- "$@" "$each"
    done
    remove "$@" "$GIT_DIR"/objects/*/tmp_* "$GIT_DIR"/objects/pack/.tmp-* || return
    [ ! -d "$GIT_DIR/lfs" ] || check_lfs || return
    if [ -d "$GIT_DIR/refs/remotes" ]; then
        find "$GIT_DIR/refs/remotes" \( -type l -o -name '*.lock' -o -type f ! -size 41c ! -size 65c \) \
            -exec rm -rf {} + 2> /dev/null
        # A fetched ref is never a symbolic one.
        grep -rl '^ref:' "$GIT_DIR/refs/remotes" 2> /dev/null | while IFS= read -r each; do rm -f -- "$each"; done
    fi
    [ -e "$GIT_DIR/$CHECKED_OUT" ] || cp "$GIT_DIR/$FETCHED" "$GIT_DIR/$CHECKED_OUT" 2> /dev/null
    if [ -f "$GIT_DIR/packed-refs" ]; then
        grep -E '^[0-9a-f]+ refs/(fetched|remotes/origin)/' "$GIT_DIR/packed-refs" > "$GIT_DIR/packed-refs.new"
        mv -f "$GIT_DIR/packed-refs.new" "$GIT_DIR/packed-refs"
    fi
    create
}

# Git LFS trusts a cached object that has the right size.  So keep only the objects whose names are the hashes of their
# contents.  (With "keep", `renew` has removed the cache: to read all of it may take longer than to fetch what is new.)
check_lfs() {
    set --
    for each in "$GIT_DIR"/lfs/* "$GIT_DIR"/lfs/.[!.]*; do
        [ "${each##*/}" = objects ] && is_directory "$each" || set -- "$@" "$each"
    done
    remove "$@" && [ -d "$GIT_DIR/lfs/objects" ] || return
    if command -v sha256sum > /dev/null; then set -- sha256sum
    elif command -v shasum > /dev/null; then set -- shasum -a 256
    else remove "$GIT_DIR/lfs"; return
    fi
    chmod -R u+rwX "$GIT_DIR/lfs" && find "$GIT_DIR/lfs" ! -type d ! -type f -exec rm -f {} + &&
        find "$GIT_DIR/lfs/objects" -type f -exec "$@" {} + | while read -r hash each; do
            [ "$hash" = "${each##*/}" ] || rm -f -- "$each" || return
        done
}

create() {
    git init -q --template= > /dev/null &&
        { [ "${GIT_DIR##*/}" = .git ] || git config core.bare false; } &&
        { [ -z "$worktree" ] || git config core.worktree "$worktree"; } &&
        printf '[remote "origin"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n' >> "$GIT_DIR/config" &&
        case $url in
            *[!A-Za-z0-9/:@._~+%=,-]*) git config remote.origin.url "$url" ;;
            *) printf '\turl = %s\n' "$url" >> "$GIT_DIR/config" ;;
        esac
}

# Fetch the wanted revision, and set *commit* to its hash, and *branch* to "" if it is not the name of a branch.
find_commit() {
    case $revision in
        '') find_branch && resolve "$FETCHED" ;;
        refs/*) say "fetch $revision from $shown" && fetch "+$revision:$FETCHED" && resolve "$FETCHED" ;;
        *) find_revision ;;
    esac
}

find_branch() {
    say "fetch ${branch:-HEAD} from $shown"
    case $branch in
        '' | HEAD) fetch "+HEAD:$FETCHED" && branch= ;;
        refs/*) fetch "+$branch:$FETCHED" && branch= ;;
        *)
            fetch "+refs/heads/$branch:$FETCHED" && return
            missing && fetch "+$branch:$FETCHED" && branch=
            ;;
    esac
}

find_revision() {
    if [ -z "$GIT_GET_LISTED" ] && is_hash "$revision"; then
        # With --tags, fetch even if the commit is here: tags may have been added or moved.
        case " $options " in *' --tags '*) ;; *) is_cut || { resolve "$revision" && return; } ;; esac
        # Most servers allow to fetch a single commit by its hash; from others everything is fetched, below.
        say "fetch $revision from $shown"
        fetch "+$revision:$FETCHED" && resolve "$revision" && return
    fi
    say "fetch everything from $shown"
    set -- '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*'
    case $branch in refs/*) set -- "$@" "+$branch:$FETCHED" ;; esac
    fetch --prune "$@" || return
    resolve "refs/tags/$revision" || resolve "refs/remotes/origin/$revision" && return
    case $revision in *[!0-9a-f]* | ? | ?? | ??? | ???? | ????? | ??????) ;; *) resolve "$revision" && return ;; esac
    return $NO_SUCH_REVISION
}

is_hash() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} = 40 ] || [ ${#1} = 64 ]
}

resolve() {
    commit=$(git rev-parse -q --verify "$1^{commit}" 2> /dev/null)
}

fetch() {
    if is_cut; then whole=--unshallow; else whole=; fi
    run_and_copy_output git fetch --no-auto-gc --force --no-recurse-submodules --refmap= $options $whole origin "$@"
}

# Whether an earlier step fetched a shallow history, and this one is to have a whole one.
is_cut() {
    case " $options " in *' --depth='*) return 1 ;; esac
    [ -s "$GIT_DIR/shallow" ]
}

# Run the command given as arguments, and copy its output to the file "said".  The exit code of a pipeline is that of
# its last command, so success is passed on in the file "worked", which also fails if the disk is full.
run_and_copy_output() {
    rm -f "$GIT_DIR/worked"
    { "$@" 2>&1 && echo yes > "$GIT_DIR/worked"; } | tee "$GIT_DIR/said"
    [ -s "$GIT_DIR/worked" ]
}

missing() { grep -qi "couldn't find remote ref" "$GIT_DIR/said"; }

unreachable() {
    grep -Eqi "could not read (from remote|username|password)|unable to access|authentication failed|repository '.*' not found|transport '.*' not allowed|does not appear to be a git repository|unable to find remote helper" "$GIT_DIR/said"
}

# Fetch into the existing repository.  If that fails for a reason that is not the server's, the repository is damaged.
get() {
    renew || return
    find_commit && return
    result=$?
    if [ -z "$old" ] || [ $result = $NO_SUCH_REVISION ] || missing || unreachable; then return $result; fi
    begin_anew
}

# Fetch into a new repository, which replaces the old one only after a success.
begin_anew() {
    say "try once more with a new repository"
    here=$GIT_DIR before=$(git rev-parse -q --verify "$CHECKED_OUT^{commit}" 2> /dev/null)
    GIT_DIR=$here~new
    remove "$GIT_DIR"
    if create && find_commit; then result=0; else result=$?; fi
    [ -z "$before" ] || git update-ref $CHECKED_OUT "$before" 2> /dev/null
    GIT_DIR=$here
    [ $result = 0 ] || { remove "$here~new"; return $result; }
    for each in checked-out lfs modules; do
        [ ! -e "$here/$each" ] || mv "$here/$each" "$here~new/$each" || return
    done
    remove "$here" && mv "$here~new" "$here"
}

# Make the files those of *commit*.  The index is not the one that the commands of builds change, so that a file that
# was changed since the last checkout is compared and, if it differs, written again.
check_out() {
    say "check out $commit"
    [ -f "$GIT_INDEX_FILE" ] || read_files
    detach_submodules
    write_files || { make_writable .; read_files; clean; write_files; } || return $(checkout_failure)
    printf 'update %s %s\n' $CHECKED_OUT "$commit" ${branch:+"refs/heads/$branch" "$commit"} | git update-ref --stdin &&
        { [ -z "$branch" ] || git symbolic-ref HEAD "refs/heads/$branch"; } && clean && { [ -z "$old$used" ] || verify; } &&
        share_index
}

# Make an index of the existing files that are unchanged since the last checkout.
read_files() {
    rm -f "$GIT_INDEX_FILE"
    git read-tree $CHECKED_OUT 2> /dev/null && git update-index -q --refresh > /dev/null 2>&1
}

# When git cannot remove a file, it succeeds with a warning; here that is a failure.
write_files() {
    run_and_copy_output git checkout -q -f --detach "$commit" -- &&
        { [ ! -s "$GIT_DIR/said" ] || ! grep -q 'unable to unlink' "$GIT_DIR/said"; }
}

# Remove the .git of each submodule: git would read it during the checkout, and fail if it is damaged.
detach_submodules() {
    [ -f .gitmodules ] || [ -d "$GIT_DIR/modules" ] || return 0
    { git ls-tree -r -z "$commit"; git ls-tree -r -z $CHECKED_OUT 2> /dev/null; } | tr '\n\0' '\1\n' |
        sed -n "s/^160000 [^$tab]*$tab//p" | while IFS= read -r each; do (enter "$each" && remove .git); done
    return 0
}

# Print the exit code for a failed checkout: DAMAGED if objects of the commit are missing or damaged, otherwise 1.
checkout_failure() {
    git rev-list --objects --verify-objects --no-walk --quiet "$commit" > /dev/null 2>&1 && echo 1 || echo $DAMAGED
}

clean() {
    case $mode in
        keep) return 0 ;;
        clean) ignored= listed=--exclude-standard ;;
        fresh) ignored=-x listed= ;;
    esac
    git clean -q -f -f -d $ignored 2> /dev/null || { make_writable . && git clean -q -f -f -d $ignored 2> /dev/null; } ||
        # Git cannot remove directories whose path is longer than PATH_MAX.
        git ls-files -z --others --directory $listed | xargs -0 rm -rf --
}

# Make sure that the files are those of the commit.  Unless files of earlier builds are kept, the index of the last
# checkout is not trusted: all files are read and hashed, and all directories listed.  Files that differ are written
# again, after the hashes of their objects were verified.
verify() {
    # If the commit's tree is missing, a checkout by git 2.39 succeeds, and leaves no files.
    if [ "$mode" = keep ]; then index_is_right; else read_all; fi || return $DAMAGED
    git diff-files --raw --no-abbrev --ignore-submodules=all > "$GIT_DIR/differing" || return
    [ -s "$GIT_DIR/differing" ] || return 0
    cut -d ' ' -f 3 "$GIT_DIR/differing" | git rev-list --objects --verify-objects --no-walk --quiet --stdin ||
        return $DAMAGED
    git checkout-index -q -f -u -a
}

# Make an index of the commit without the files' times and sizes, so that git reads all files.
read_all() {
    rm -f "$GIT_INDEX_FILE"
    git ls-tree -r -z --full-tree "$commit" | git update-index -z --index-info &&
        index_is_right && { git update-index -q --refresh > /dev/null || :; }
}

# Whether the index has the files of the commit, with the same hashes.
index_is_right() { [ "$(git write-tree --missing-ok)" = "$(git rev-parse "$commit^{tree}")" ]; }

# Fetch *revision* from *url* into GIT_DIR, and check it out in the working directory.
fetch_and_check_out() {
    # Remember whether there were files: a .gitattributes among them changes how git writes others.
    used=$(find . ! -name . -prune ! -name .git -print | head -n 1)
    get || return
    check_out
    result=$?
    if [ $result = $DAMAGED ] && begin_anew; then check_out; result=$?; fi
    [ $result = 0 ] || return $result
    if has_much_to_pack; then say "$MUCH_TO_PACK ${GIT_DIR#"$root/"}"; fi
}

# Whether there is much to pack, by the rule of git-gc(1).  Git itself would pack in the background, where processes are
# killed at the end of the command.
has_much_to_pack() {
    git config --get-regexp '^gc\.auto(packlimit)?$' | {
        packs=50 objects=6700
        while read -r name value; do
            case $name in gc.auto) objects=$value ;; *) packs=$value ;; esac
        done
        set -- "$GIT_DIR"/objects/pack/*.pack
        [ $# -le "$packs" ] || exit 0
        set -- "$GIT_DIR"/objects/17/*
        [ $(($# * 256)) -gt "$objects" ]
    } 2> /dev/null
}

# Check out the submodules of the commit in the directory *place*, whose repository is *store*; both relative to *root*.
get_submodules() (
    place=$1 store=$2
    [ -n "$(submodules)" ] || exit 0
    say "look at the submodules${place:+ of $place}"
    git submodule -q init || exit
    submodules | while IFS= read -r each; do
        get_submodule "${each%% *}" "${each#* }" < /dev/null || exit
    done
)

# Print a line "COMMIT PATH" for each submodule.
submodules() {
    git ls-files -s -z | tr '\n\0' '\1\n' | sed -n "s/^160000 \([0-9a-f]*\) 0$tab/\1 /p"
}

get_submodule() (
    revision=$1 path=$2 branch= options=$options GIT_GET_LISTED=
    case $path in *"$(printf '\1')"*)
        echo "fatal: the path of a submodule has a line break in it, which this step cannot read"
        exit 1
        ;;
    esac
    name=$(git config -z -f .gitmodules --get-regexp '^submodule\..*\.path$' | tr '\n\0' '\t\n' |
        while IFS= read -r each; do
            [ "${each#*"$tab"}" != "$path" ] || { each=${each%%"$tab"*} && each=${each#submodule.} && echo "${each%.path}"; }
        done)
    # Skip a submodule that is not active, or whose update is "none".
    url=$(git config "submodule.$name.url") && [ "$(git config "submodule.$name.update")" != none ] || {
        empty "$path"
        exit
    }
    if [ "$(git config -f .gitmodules --bool "submodule.$name.shallow")" = true ]; then options="$options --depth=1"; fi
    # The name of a submodule may have slashes in it, and an earlier build may have put a link in place of each part.
    (cd "$root/$store" && enter "modules/$name" make) || exit
    place=${place:+$place/}$path store=$store/modules/$name shown="the submodule $place"
    cd "$root" && enter "$place" make || exit
    work_on "$store" "$(up "$store")/$place"
    # As `git submodule` does: a commit may not name a repository on this machine, unless the configuration allows it.
    GIT_PROTOCOL_FROM_USER=0
    export GIT_PROTOCOL_FROM_USER
    remove .git
    printf 'gitdir: %s/%s\n' "$(up "$place")" "$store" > .git || exit
    fetch_and_check_out && get_submodules "$place" "$store"
)

# Use the repository $1, relative to *root*.  $2: its work tree, relative to the repository; empty: the usual one.
work_on() { GIT_DIR=$root/$1 GIT_INDEX_FILE=$root/$1/checked-out worktree=$2; }

# Give the commands of builds an index: a hard link to ours, which git replaces when it writes, or a copy.
share_index() {
    ln -f "$GIT_INDEX_FILE" "$GIT_DIR/index" 2> /dev/null || cp -p "$GIT_INDEX_FILE" "$GIT_DIR/index"
}

# Change to the subdirectory $1, without following links.  $2: if given, make it if it does not exist.
enter() {
    rest=$1/
    while [ -n "$rest" ]; do
        part=./${rest%%/*} rest=${rest#*/}
        is_directory "$part" || { [ -n "$2" ] && remove "$part" && mkdir "$part"; } || return
        cd "$part" || return
    done
}

# Print the relative path from the directory $1 back to this one.
up() { printf '%s' "$1" | sed 's|[^/][^/]*|..|g'; }

# Empty the directory of a submodule that is not checked out.
empty() ( [ "$mode" = keep ] || { enter "$1" make && remove "$PWD" && mkdir "$PWD"; } )

export GIT_DIR GIT_INDEX_FILE
shown=$url
work_on .git ""
fetch_and_check_out || exit
say "commit $commit"
case $links in
    get) get_submodules "" .git ;;
    leave) [ "$mode" = keep ] || submodules | while IFS= read -r each; do empty "${each#* }" || exit; done ;;
esac
