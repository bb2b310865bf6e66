checkconfig finds deadlocks by way of Trigger steps, as remarks, and no longer refuses circles of locks whose builds never run at the same time.
