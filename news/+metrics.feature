The web process answers at `/metrics` in Prometheus' format (docs/metrics.md), and at `/healthz` and `/readyz`.
