`grant submit TARGET --priority MAX` bounds the priority of jobs: a string may permit higher ones than the target's own, or only lower ones.
