On the page of a farm with more than 200 builders, those that build or wait come first.
