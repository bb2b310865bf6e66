"""
Jobs as the farm's database and directories have them: values, rows, states, results.
"""
