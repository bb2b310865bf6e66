"""
Answers that take long or are given again: bytes with ranges, kept pages, and their end with the right to read.
"""
