Source packages of the format 1.0 can be made from git. Where the upstream sources are only on the branch `pristine-tar`, the sentence says what to do.
