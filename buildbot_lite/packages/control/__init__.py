"""
What holders of FURLs ask and order of jobs and targets, and whether they may.

::

    package_jobs ──► job_questions ──► job_actions | rebuilding ──► job_submission     within the limits of a grant
          ├────────► job_files                                                     what builds made
          └────────► root_shells ──► kept_roots
"""
