``queue`` shows the position and the expected start of each request, ``status`` and ``builds`` the expected end of running builds, and ``last-good`` names the first bad build after the good one.
