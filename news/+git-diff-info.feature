`steps.GitDiffInfo` finds the files and lines that a commit changed since its last common ancestor with a branch.
