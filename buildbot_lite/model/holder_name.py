"""
The holders of strings as people know them.
"""

SESSION = "web session"
"""The beginning of the label of the string of a browser's session."""
NAMELESS = "somebody with a string"


def holder_name(label: str) -> str:
    """
    Who holds the string with *label*: of a browser's session the name that the admin gave, without where and when it
    began, which concern nobody who reads the pages; `NAMELESS` if there is none.
    """
    if label.startswith(SESSION):
        label = label.partition(" (")[0].removeprefix(SESSION).removeprefix(" of ")
    return label.strip() or NAMELESS
