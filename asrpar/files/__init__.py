"""Files: text from outside in, whole results under a temporary name out, and one process at a time in a folder."""
