A slave that breaks the contract is cut off, and ``slaves`` shows why. The master itself holds it to the streams, the log cap and the upload size of each command.
