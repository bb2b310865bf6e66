Artifacts are shown on the pages: reports of HTML with their pictures, in a sandbox that runs no script of theirs.
