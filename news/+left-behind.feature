A remark names the processes that were ended because a command left them behind, and says how they are kept (`leaveRunning`).
