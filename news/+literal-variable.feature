In ``env``, ``$${NAME}`` is the text ``${NAME}``, which is otherwise replaced by the slave's own value.
