"""
Plugins of pytest that make test runs reliable; ``test/conftest.py`` loads them.

`bounds`: no test can hang the run.  `workers`: cleanup after a dead worker.  `second_runs`: failed tests with real
processes run once more.  `outcomes`: two runs on different machines add up to one in which no test is skipped.
"""
