A renderer of `builderNames` may ask for the builders and their tags with `props.master.data.get(("builders",))`, as in Buildbot's manual.
