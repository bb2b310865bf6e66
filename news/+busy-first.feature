The first page of a farm with more than 200 builders begins with those that build or wait; through all of its pages, the builders keep their order.
