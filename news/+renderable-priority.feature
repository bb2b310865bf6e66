The ``priority`` of a scheduler may be rendered, in the same way as its ``builderNames``.
