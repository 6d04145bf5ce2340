#!/usr/bin/env bash
# Mini LibriSpeech (OpenSLR 31): read books, about 5 hours to train on. Phone CTC with cmudict, 3-gram LM, HLG decoding.
#   ./run.sh --corpus-dir /corpora/mini_librispeech --cmudict /corpora/cmudict/cmudict.dict --strategy bmuf
# Any tree of LibriSpeech will do that has train-clean-5 and dev-clean-2, also a part of it. The corpus has no test set:
# the speakers of dev-clean-2 are divided into dev and test.
# The stages are those of egs/librispeech; conf/ has what differs. RESULTS.md has the figures, and the commands.
set -euo pipefail
# shellcheck source=egs/librispeech/s5/run.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../librispeech/s5/run.sh" --corpus mini_librispeech "$@"
