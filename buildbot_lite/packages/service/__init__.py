"""
Jobs in a running master: what starts them, what becomes of them, and where their packages go.

::

    job_service ──► job_advance ──► made_source | checked_builds | target_repository ◄── target_repositories
      │               ├──► giving_way              may results be replaced by others of their version?
      │               ├──► served_targets          the targets of the configuration in force, and a turn for each
      │               └──► target_troubles         a full disk: when is it tried again?
      ├──► job_tidying ──► result_retention
      └──► paused          targets whose builds do not start
    chains, job_mail   follow the same jobs;  job_story: the text of job.log
"""
