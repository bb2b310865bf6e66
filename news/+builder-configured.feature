A builder in the API has `configured`: false if master.cfg has it no longer.
