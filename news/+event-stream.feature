The web process streams the events of the farm at `/api/v1/events`, resumable with `Last-Event-ID`; pages are live with it.
