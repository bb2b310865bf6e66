The form that forces a build says all that is wrong at once, each beside its field and above the form, and stands at the first; ``buildbot-lite force`` prints all of it, a line each. Fields of a codebase, a patch or a group are in a frame of their own. Where several values may be chosen, none may be, too.
A field that is left as the form shows it gives its default, whatever that is.
