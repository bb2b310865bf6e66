"""
The holders of strings as people know them.
"""

SESSION = "web session"
"""The beginning of the label of the string of a browser's session."""
NAMELESS = "somebody with a string"


def holder_name(label: str) -> str:
    """
    The name of the holder of the string with *label*, for pages; `NAMELESS` if there is none.  Of a browser's session
    it is the name that the admin gave: readers of the pages need not know where and when the session began.
    """
    if label.startswith(SESSION):
        label = label.partition(" (")[0].removeprefix(SESSION).removeprefix(" of ")
    return label.strip() or NAMELESS
