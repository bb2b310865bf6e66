"""
Texts that break careless pages, and the ordinary ones beside them.
"""

TITLE = "taken over"
"""The title of a page on which a hostile value has become a script."""

_SCRIPT = f"document.title='{TITLE}'"

HOSTILE = (
    f"<script>{_SCRIPT}</script>",
    f'"><img src=x onerror="{_SCRIPT}">',
    f'\'><svg onload="{_SCRIPT}">',
    f"</title></textarea></style></script><hostile><script>{_SCRIPT}</script>",
    f"javascript:{_SCRIPT}",
    f'" onmouseover="{_SCRIPT}" autofocus onfocus="{_SCRIPT}',
    "&lt;script&gt; &amp;amp; &#0; &nosuch; <!-- ]]> -->",
    "{{ 7*7 }} {% raw %} ${7*7} %(x)s %s%n",
    "../../../../etc/passwd",
    "%3Cscript%3E %00 %2e%2e%2f ?a=b&c=d#e;f",
    "line one\r\nSet-Cookie: session=taken\r\n\r\n<h1>line four</h1>",
    "red \x1b[31mtext\x1b[0m, bell \x07, back \x08\x08, \x1b]0;title\x07 \x9b2J \x7f",
    "right to left \u202egnp.exe\u202c, isolated \u2066abc\u2069, \u200bzero\u200d \ufeffwidth",
    "日本語 العربية עברית ไทย Ελληνικά 👩‍👩‍👧‍👦 e\u0301\u0323\u0316\u033d\u0349",
    "unbroken" * 250,
    "many words " * 300,
    " \t  spaces around \t ",
    "",
)
"""Texts of records.  None has a NUL, which no text of the records may have."""

HOSTILE_LABELS = (
    f"<img src=x onerror={_SCRIPT}>",
    "\"quoted\" & 'single' </title>",
    "a/b/../c?x=y&z#1;%2e%2e",
    "日本語 العربية עברית",
    "W" * 80,
    "{{ 7*7 }} 100% .",
)
"""Names of builders and grants, which may be 1 to 80 printable characters."""

BUILDERS = (
    "linux-x86_64",
    "linux-arm64",
    "debian-12",
    "fedora-42",
    "freebsd",
    "windows",
    "coverage",
    "documentation",
    "release",
    "nightly",
)
SLAVES = (
    "oak",
    "ash",
    "elm.example.org",
    "birch",
    "rowan",
    "larch",
    "fir-64",
    "hazel",
    "juniper",
    "maple",
    "willow",
    "poplar",
)
"""Names of slaves, which may have letters, digits, dots, dashes, underscores and plus signs."""
LONG_SLAVE = "W" * 80
TAGS = ("linux", "nightly", "release")
HOSTILE_TAG = "<b>tag</b> #1&x=y"

AUTHORS = (
    "Ada Lovelace <ada@example.org>",
    "Grace Hopper <grace@example.org>",
    "Łukasz Żółć <lukasz@example.org>",
    "renovate[bot] <bot@example.org>",
)
COMMENTS = (
    "storage: write the index before the table\n\nA crash between the two left a table that no index named.",
    "Fix the build on 32-bit machines",
    "docs: say what a lost slave costs",
    "tests: wait for the event and not for a second",
    "Merge branch 'faster-start'",
    "Remove the second reader of the header",
)
STEPS = ("git", "configure", "compile", "test", "package")
"""The steps of a build, in order."""
SUMMARIES = {
    "git": "update {revision:.8}",
    "configure": "configured",
    "compile": "compiled: 3 warnings",
    "test": "1284 tests, 3 skipped",
    "package": "3 files uploaded",
}
FAILURES = {
    "git": "git: could not read from the remote repository",
    "configure": "configure: error: no acceptable C compiler found in $PATH",
    "compile": "make: *** [Makefile:217: parser.o] Error 1",
    "test": "1284 tests, 2 failed: test_rotation, test_daylight_saving",
    "package": "no space left on device",
}
