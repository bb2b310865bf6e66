A slave removes kept roots of failed builds within ten minutes after their time is over, also if it builds nothing.
