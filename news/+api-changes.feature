Builds are forced, rebuilt, kept and cancelled, and slaves paused and drained, by POST to `/api/v1/`, with a control string as bearer token ([docs/api.md](docs/api.md)).
