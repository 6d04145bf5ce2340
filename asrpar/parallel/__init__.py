"""Parallel training: strategies over flat vectors, and the transports that carry their messages.

Nothing here knows of speech. A strategy is given a `Learner` and a `Comm`, and does one step at a time.
"""
