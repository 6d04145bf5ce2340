"""NIST's SCTK where it is installed: sclite for transcripts, hubscr.pl for conversations with their word map."""
