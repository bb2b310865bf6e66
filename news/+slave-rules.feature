``slave.tac`` can say what no master can change: the user that commands run as, the variables that they get, directories beyond ``work``, and a wrapper (bwrap, podman) for every command.
