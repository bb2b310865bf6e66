"""
One module for each page or pair of pages, with the parts that only they use; each lists its ``ROUTES``.
"""
