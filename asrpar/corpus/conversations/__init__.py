"""Telephone conversations: how Switchboard and Fisher are written down, and what speech and text are made of that."""
