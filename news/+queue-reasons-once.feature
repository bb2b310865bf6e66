On a narrow terminal, `queue` and `status` write a long reason that several requests have below each other once.
