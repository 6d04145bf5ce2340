import pytest

from asrpar.errors import DataError, MissingInputError
from asrpar.hmm.kaldi.phones import kaldi_phones

NAMES = ["<eps>", "SIL_B", "SPN", "SIL", "AA_B", "AA_E", "#0", "#1"]


def write(folder, names=NAMES):
    (folder / "phones.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(names)))
    return folder / "phones.txt"


def test_silences_are_known_by_their_names(tmp_path):
    assert kaldi_phones(write(tmp_path)) == (NAMES[1:6], ["SIL", "SIL_B", "SPN"])
    assert kaldi_phones(tmp_path) == kaldi_phones(tmp_path / "phones.txt")  # a language folder
    assert kaldi_phones(tmp_path, ["SPN"])[1] == ["SPN"]
    assert kaldi_phones(write(tmp_path, ["<eps>", "a", "sil"])) == (["a", "sil"], ["sil"])


def test_a_language_folder_says_what_its_silences_are(tmp_path):
    write(tmp_path, ["<eps>", "AA", "GBG", "Q"])
    (tmp_path / "phones").mkdir()
    (tmp_path / "phones" / "silence.txt").write_text("GBG\nQ\n")
    with pytest.raises(DataError, match="no phone is called SIL"):
        kaldi_phones(tmp_path)
    (tmp_path / "phones" / "optional_silence.txt").write_text("Q\n")
    assert kaldi_phones(tmp_path) == (["AA", "GBG", "Q"], ["Q", "GBG"])


@pytest.mark.parametrize(
    ("names", "silences", "message"),
    [
        (["SIL", "AA"], [], "is <eps>, not SIL"),
        (["<eps>", "#0", "SIL"], [], "come behind all phones"),
        (["<eps>", "AA"], [], "no phone is called SIL or the like: say which"),
        (["<eps>", "SIL"], ["X"], "X is not one of its phones"),
    ],
)
def test_tables_that_are_none(tmp_path, names, silences, message):
    with pytest.raises(DataError, match=message):
        kaldi_phones(write(tmp_path, names), silences)


def test_no_table(tmp_path):
    with pytest.raises(MissingInputError, match=r"phones\.txt"):
        kaldi_phones(tmp_path)
