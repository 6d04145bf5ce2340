from asrpar.files.columns import Strings
from asrpar.files.finder import Finder


def test_strings_are_found_also_where_checksums_are_equal():
    alike = ["plumless", "buckeroo"]  # CRC-32 4ddb0c25, both
    names = ["b", *alike, "ü", "a"]
    found = Finder(Strings.of(names))
    assert found.sums[found.rows.tolist().index(1)] == found.sums[found.rows.tolist().index(2)]
    assert [found.row(name) for name in names] == list(range(5)) and found.row("c") == found.row("") == -1
    assert Finder(Strings.of(["buckeroo"])).row("plumless") == -1


def test_rows_of_many_in_any_order_and_with_others_between():
    names = [f"u{i}" for i in range(50)]
    found = Finder(Strings.of(names))
    for others in (names, names[::-1], ["x", *names[3:20], "y", *names[21:], "z"], []):
        expected = [names.index(one) if one in names else -1 for one in others]
        assert found.rows_of(others).tolist() == expected
        assert found.rows_of(others) is found.rows_of(others)
    assert Finder(Strings.of([])).rows_of(["a"]).tolist() == [-1]


def test_checksums_of_a_file_are_taken():
    names = Strings.of(["a", "b", "c"])
    made = Finder(names)
    assert Finder(names, made.sums, made.rows).row("c") == 2
