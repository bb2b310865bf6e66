`slaves --json` has the state of each slave as one word (`state`), the reason (`why`), and the seconds until its builds are given up (`grace_left`).
