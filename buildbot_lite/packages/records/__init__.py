"""
Jobs as the farm's database and directories have them: values, rows, states, results.

``jobs``           jobs as values; ``job_options``: what submitters choose
``job_states``     the life of a job and of its architectures; ``job_progress``: as the records of builds have it
``job_records``    one job in the database; ``job_lists``: several; ``job_rows``: their rows; ``chain_records``: chains
``job_documents``  jobs as JSON
``results``        the packages of jobs, in files
"""
