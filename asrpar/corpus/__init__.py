"""Speech corpora: download, manifests, Kaldi data folders, the synthetic corpus, checks."""
