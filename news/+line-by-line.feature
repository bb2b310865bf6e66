A command that writes line by line is read in larger pieces, and may be 256 KiB ahead of its reader: it is up to two fifths quicker.
