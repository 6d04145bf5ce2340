"""One module for each ``asrpar`` command: it parses options and calls the package that does the work."""
