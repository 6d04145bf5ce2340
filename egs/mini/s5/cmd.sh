# shellcheck shell=bash disable=SC2034
# How the training stage is started. Empty: here, on the terminal. Under Slurm, one task for each learner, for example:
#   train_cmd="$root/utils/slurm.sh --num-tasks $learners --gpu 1 --time 4:00:00"
train_cmd=${ASRPAR_TRAIN_CMD:-}
