On a narrow terminal, lists show shorter dates and no empty columns, so that a slave or a string has one line. The details of a build have its properties under a heading of their own.
