The README's commands work as they are written, from a clone. `docs/own-project.md` leads from there to builds of a project of your own, on push and at night; `docs/words.md` says which words we use.
