"""
What a run of the tests owes to those who wait for it, as plugins of pytest that ``test/conftest.py`` loads.

`bounds`: no test can hang the run.  `workers`: what happens to the tests and the processes of a worker that had to end.
`second_runs`: a race costs no landing.  `outcomes`: two runs on different machines add up to one in which no test is
skipped.
"""
