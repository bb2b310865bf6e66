`DebTarget(keyring=…)` takes only source packages whose `.dsc` is signed by one of the keys in that file.
