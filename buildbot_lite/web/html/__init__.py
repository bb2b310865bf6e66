"""
From documents to HTML: templates, rows of long lists, the spelling of names, times and results.
"""
