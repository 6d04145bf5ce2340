"""Without a centre: who mixes with whom, and how, in lockstep or at any time."""
