The page *About* tells versions, how far the records go back, licences, and the addresses for programs.
