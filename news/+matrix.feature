`util.Matrix(python=[…], os=[…], exclude=[…], include=[…])` makes the combinations of some values, for builders and for `Trigger(matrix=…)`, which starts one build for each and joins their results.
