`package fetch JOB` gets the packages of a job, with the string of the target with which it was submitted, too.
