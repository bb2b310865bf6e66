`buildbot-lite package rebuild JOB --compare` builds the packages of a job again and says whether they are the same bit for bit.
