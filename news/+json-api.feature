The web process answers with JSON documents below `/api/v1/` for everything that its pages show; `/api/v1/openapi.json` describes them, and `/api/v1/` shows that description to people.
