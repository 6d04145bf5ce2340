"""What runs beside computing, and fails, ends the training with its error."""

import pytest
from minidata import train_options

PROGRAM = """
import sys
from asrpar.cli import main
from asrpar.errors import TrainingError
from asrpar.parallel.strategies.asgd import Algorithm
from asrpar.train.dealing import Dealer

where, number = sys.argv.pop(1), 0

def failing(method):
    def call(*arguments):
        global number
        number += 1
        if number == 8:
            raise TrainingError(f"the eighth call of the {where}")
        return method(*arguments)
    return call

if where == "server":
    Algorithm.update = failing(Algorithm.update)
else:
    deal = Dealer.deal
    def broken(self, shares):
        self.replies.send = failing(self.replies.send)
        deal(self, shares)
    Dealer.deal = broken
main()
"""


@pytest.mark.mpi
@pytest.mark.parametrize("where", ["server", "dealer"])
def test_an_error_beside_computing_ends_all_learners_at_once(mpirun, mini, tmp_path, where):
    # The watchdog would end it, too: after ten minutes, and without the error.
    options = train_options(mini, tmp_path / "exp", strategy="asgd", epochs=9)
    done = mpirun(2, PROGRAM, where, "train", *options, timeout=100, check=False)
    assert done.returncode != 0
    assert f"asrpar: error: the eighth call of the {where}" in done.stderr
    assert "no progress" not in done.stderr
