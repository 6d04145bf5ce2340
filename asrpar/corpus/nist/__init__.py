"""NIST's files of references and hypotheses of conversations: STM, PEM and CTM. Corpora and scoring read them here."""
