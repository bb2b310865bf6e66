`package rebuild --compare` names, for packages that differ, the commands that show where.
