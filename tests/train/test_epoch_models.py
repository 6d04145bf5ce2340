"""Models of epochs, kept in training, and their average."""

import pytest
import torch
from minidata import asrpar, train_options

from asrpar.errors import DataError, MissingInputError
from asrpar.train.epoch_models import average_models, chosen_epochs, epoch_models, read_model, spans, write_average
from asrpar.train.model_io import load_acoustic_model, save_atomically


@pytest.fixture(scope="module")
def exp(mini, tmp_path_factory):
    """Five epochs, of which the models of four are kept."""
    folder = tmp_path_factory.mktemp("epochs") / "exp"
    asrpar("train", *train_options(mini, folder, epochs=5, checkpoint__keep_epochs=4))
    return folder


def test_the_newest_models_are_kept_and_tell_how_good_they_are(exp):
    kept = epoch_models(exp)
    assert list(kept) == [2, 3, 4, 5]
    notes = read_model(kept[3])["notes"]
    assert notes["epoch"] == 3
    assert notes["dev_loss"] > 0
    # The last one is the final model.
    final, last = read_model(exp / "final.pt"), read_model(kept[5])
    assert all(torch.equal(final["weights"][name], last["weights"][name]) for name in final["weights"])


def test_the_average_is_a_model_that_loads(exp, tmp_path):
    paths = [epoch_models(exp)[epoch] for epoch in (2, 4, 5)]
    write_average(paths, tmp_path / "average.pt")
    module, facts = load_acoustic_model(tmp_path / "average.pt")
    name = "output.weight"
    mean = sum(read_model(path)["weights"][name].double() for path in paths) / 3
    assert torch.equal(module.state_dict()[name], mean.float())
    assert facts["notes"]["average_of"] == ["epoch-0002.pt", "epoch-0004.pt", "epoch-0005.pt"]
    assert facts["identity"].units == load_acoustic_model(exp / "final.pt")[1]["identity"].units


def test_the_best_are_those_of_least_dev_loss(exp):
    kept = epoch_models(exp)
    by_loss = sorted(kept, key=lambda epoch: read_model(kept[epoch])["notes"]["dev_loss"])
    assert chosen_epochs(exp, best=2) == sorted(by_loss[:2])
    assert chosen_epochs(exp, last=3) == [3, 4, 5]
    assert chosen_epochs(exp, epochs=[5, 2]) == [2, 5]
    with pytest.raises(MissingInputError, match=r"epoch-0001.pt is not there; models are kept of epochs 2-5"):
        chosen_epochs(exp, epochs=[1, 2])
    with pytest.raises(MissingInputError, match=r"7 epochs are asked for, and .* keeps models of 4: 2-5"):
        chosen_epochs(exp, last=7)


def test_models_of_different_kinds_have_no_average(exp, tmp_path):
    first = epoch_models(exp)[2]
    other = read_model(first)
    other["settings"] = other["settings"] | {"channels": 99}
    other["identity"]["units"][0] = "x"
    save_atomically(other, tmp_path / "other.pt")
    with pytest.raises(DataError, match="different kinds: they differ in identity, settings"):
        average_models([first, tmp_path / "other.pt"])


def test_the_command(exp, mini, tmp_path):
    asrpar("average", exp, "--epochs", "2,4-5")
    asrpar("average", exp, "--last", 2, "--output", tmp_path / "new" / "two.pt")
    assert (exp / "average_2+4-5.pt").exists()
    assert (tmp_path / "new" / "two.pt").exists()
    for wrong, said in (
        (["--epochs", "9-5"], "give epochs such as 5-9"),
        ([], "give one of --epochs A-B, --last N and --best N"),
        (["--last", 1, "--output", exp / "epochs" / "epoch-0002.pt"], "is the model of an epoch"),
    ):
        done = asrpar("average", exp, *wrong, check=False)
        assert done.returncode
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    (tmp_path / "empty").mkdir()
    done = asrpar("average", tmp_path / "empty", "--last", 2, check=False)
    assert "keeps no models of epochs: train with --set checkpoint.keep_epochs=N" in done.stderr


def test_spans():
    assert spans([1, 3, 4, 5, 8]) == "1, 3-5, 8"
