`/api/v1/packages/targets/TARGET` has the commands to use a repository, and `…/packages` the packages in it, in pages.
