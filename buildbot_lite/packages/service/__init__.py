"""
Jobs in a running master: what starts them, what becomes of them, and where their packages go.

::

    job_service ──► job_advance ──► made_source | checked_builds | target_repository ◄── target_repositories
      │               └──► target_troubles         a full disk: when is it tried again?
      └──► job_tidying ──► result_retention
    chains, job_mail   follow the same jobs
"""
