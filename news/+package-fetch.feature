`package fetch JOB` gets the packages of a job, with the string of the target with which it was submitted, too. A remark says when the job failed or is not finished.
