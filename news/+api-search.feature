Logs can be searched over the API: `…/logs/STEP/LOG/search?text=TEXT`.
