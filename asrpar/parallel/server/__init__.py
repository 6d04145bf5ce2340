"""A parameter server on ranks of its own, or in shards on those of the learners."""
