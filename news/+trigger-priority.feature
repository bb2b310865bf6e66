`Trigger` takes `priority`, the priority of the requests that it makes.
