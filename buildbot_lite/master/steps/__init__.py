"""
The steps that are shipped.  ``base`` says what a step is; each of the others is made of its public parts only.
"""
