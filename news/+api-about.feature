`/api/v1/about` has the versions, the licences and the dates of the page about the farm.
