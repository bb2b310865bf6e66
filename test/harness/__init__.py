"""
Plugins of pytest that make test runs reliable; ``test/conftest.py`` loads them.

`bounds`: no test can hang the run.  `workers`: what happens to the tests and the processes of a dead worker.
`second_runs`: a race costs no landing.  `outcomes`: two runs on different machines add up to one in which no test is
skipped.
"""
