from asrpar.files import finder
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
    # Asked again, also after a shorter question, as of a dev set, nothing is looked for.
    kept = found.rows_of(names)
    assert found.rows_of(["u3"]).tolist() == [3] and found.rows_of(names) is kept
    assert Finder(Strings.of([])).rows_of(["a"]).tolist() == [-1]


def test_checksums_of_a_file_are_taken():
    names = Strings.of(["a", "b", "c"])
    made = Finder(names)
    assert Finder(names, made.sums, made.rows).row("c") == 2


def test_rows_of_more_than_are_looked_for_at_once(monkeypatch):
    monkeypatch.setattr(finder, "_BLOCK", 7)
    names = [f"é{'x' * (n % 5)}{n}" for n in range(40)] + [""]
    found = Finder(Strings.of(names))
    others = [*reversed(names), "é", "nobody", "éxx7"]
    assert found.rows_of(others).tolist() == [*range(40, -1, -1), -1, -1, names.index("éxx7")]
    assert found.rows_of([]).tolist() == []


def test_rows_of_strings_with_one_checksum():
    # CRC-32 is the same of each two.
    names = ["plumless", "buckeroo", "other", "codding", "gnu"]
    assert Finder(Strings.of(names)).rows_of(["buckeroo", "gnu", "plumless"]).tolist() == [1, 4, 0]
    assert Finder(Strings.of(["buckeroo", "codding"])).rows_of(["plumless", "gnu", "codding"]).tolist() == [-1, -1, 1]
