"""
One running build: its coroutine, its journal, the effects of its steps, and their files.

The build: `build` (the coroutine, which is run again from the `journal` after a restart), `made_steps`, `build_context`
(what its steps share), `build_progress` and `build_stops`, `recorder` (its records, in order), `abandon` (its end when
it cannot be continued).

A step: `step_runner` and `step_code` (its code, and how that is stopped), `step_time`, `overdue` and `turn_watch` (how
long its code may take), `step_context` (the only API through which it acts), made of `step_effects`, `step_commands`,
`step_logs`, `step_triggers` and `lock_waits`; `live_commands` (what it waits for), `triggered` (builds that it starts),
`other_artifacts`, `redaction` (secrets in texts).

All builds: `streams` (the files of logs and artifacts), `locks` and `lock_lines`, `disk_reserve`, `reactor_lag`.
"""
