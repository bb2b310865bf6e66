"""
Words that configurations of Buildbot's use, and how many of them are taken: ``python -m test.corpus VOCABULARY``.
"""
