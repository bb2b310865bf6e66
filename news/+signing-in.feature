The pages speak of signing in and out, errors lead on, and *Grants* is among the pages of an admin. On a phone the rows of lists are a few lines each, and the pages one line at the top.
