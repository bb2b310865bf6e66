"""
The objects that holders of FURLs call.

``verbs``           the verbs of FURLs: what each permits and leads to
``admin``           questions about builds, and the dispatch of all questions
``admin_grants``    questions about grants
``admin_slaves``    questions about slaves
``submissions``     submitting a build, watching a request
``input_receiver``  the input of a submission, from its client to the store
"""
