"""One module for each ``asrpar`` command: it parses options and calls the room that does the work."""
