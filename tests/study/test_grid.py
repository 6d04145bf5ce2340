"""Grids: cells, rules, names, settings."""

import pytest

from asrpar.errors import ConfigError
from asrpar.study.config import load_study
from asrpar.study.grid import cells, plain, settings


def grid(tmp_path, text):
    (tmp_path / "s.yaml").write_text("name: s\ncluster: {preset: v100_ethernet}\n" + text)
    return cells(load_study(tmp_path / "s.yaml"))


def names(found):
    return [cell.name for cell in found]


def test_cells_are_the_product_first_seeds_first(tmp_path):
    found = grid(tmp_path, "grid: {strategy: [ssgd, bmuf], learners: [4, 8], seed: [0, 1]}")
    assert names(found) == [f"{s}_n{n}_seed{i}" for i in (0, 1) for s in ("ssgd", "bmuf") for n in (4, 8)]
    assert found[0].group == found[4].group
    assert found[3].config.strategy == "bmuf" and found[3].learners == 8
    assert found[-1].config.seed == 1


def test_only_and_skip(tmp_path):
    axes = "grid: {strategy: [single, ssgd], learners: [1, 4, 8], seed: 0}\n"
    only = "only: [{strategy: single, learners: 1}, {strategy: ssgd, learners: [4, 8]}]\n"
    assert names(grid(tmp_path, axes + only)) == ["single_n1_seed0", "ssgd_n4_seed0", "ssgd_n8_seed0"]
    skip = "skip: [{strategy: single, learners: [4, 8]}, {learners: 8}]\n"
    assert names(grid(tmp_path, axes + skip)) == ["single_n1_seed0", "ssgd_n1_seed0", "ssgd_n4_seed0"]
    assert names(grid(tmp_path, axes + only + "skip: [{learners: 8}]")) == ["single_n1_seed0", "ssgd_n4_seed0"]


def test_bundles_set_several_things(tmp_path):
    text = """
base: {set: {optimizers.adamw.lr: 0.5, epochs: 3}}
grid:
  strategy:
    - {label: random, set: {strategy: adpsgd, strategies.adpsgd.neighbours: random}}
  size:
    - {label: small, learners: 4, set: {optimizers.adamw.lr: 0.25}, cluster: {nodes: 2}}
    - {label: large, learners: 8}
  ema: [false, true]
  straggler: [1, 2.5]
"""
    found = grid(tmp_path, text)
    assert names(found)[:2] == ["random_size-small_noema_x1", "random_size-small_noema_x2.5"]
    cell = found[3]
    assert cell.config.strategies == {"adpsgd": {"neighbours": "random", "seed": 0}}
    assert (cell.config.optimizers["adamw"]["lr"], cell.config.epochs, cell.learners) == (0.25, 3, 4)
    assert cell.config.ema.enabled and not found[0].config.ema.enabled
    assert cell.cluster == {"nodes": 2, "compute.stragglers": [{"rank": 1, "factor": 2.5}]}
    assert found[2].cluster == {"nodes": 2}
    assert found[-1].config.optimizers["adamw"]["lr"] == 0.5 and found[-1].learners == 8


def test_exceptions_override_the_axes(tmp_path):
    text = """
grid: {strategy: [ssgd, bmuf], learners: [2, 4], optimizers.adamw.lr: 0.5, seed: [0, 1]}
when:
  - {cells: [{strategy: bmuf}], set: {optimizers.adamw.lr: 0.25}}
  - {cells: [{strategy: bmuf, learners: 4}, {learners: 2, seed: 1}], set: {epochs: 7}, cluster: {nodes: 2}}
"""
    found = {cell.name.replace("lr-0.5_", ""): cell for cell in grid(tmp_path, text)}
    rates = {name: cell.config.optimizers["adamw"]["lr"] for name, cell in found.items()}
    assert {name for name, rate in rates.items() if rate == 0.25} == {n for n in found if n.startswith("bmuf")}
    changed = {name for name, cell in found.items() if cell.config.epochs == 7 and cell.cluster == {"nodes": 2}}
    assert changed == {"bmuf_n4_seed0", "bmuf_n4_seed1", "bmuf_n2_seed1", "ssgd_n2_seed1"}


def test_batches_per_learner_are_counted_globally(tmp_path):
    found = grid(tmp_path, "grid: {strategy: ssgd, learners: [2, 4], batch: 1000, batch.per: [global, learner]}")
    assert [cell.global_batch for cell in found] == [1000, 2000, 1000, 4000]


def test_values_travel_as_settings():
    values = {"a": True, "b": None, "c": 0.004, "d": [{"rank": 1, "factor": 5.0}], "e": "x y", "f": 8000.0}
    expected = ["a=true", "b=null", "c=0.004", 'd=[{"rank": 1, "factor": 5.0}]', "e=x y", "f=8000"]
    assert settings(values) == expected
    assert plain(1e-5) == "1e-05"


def test_the_digest_knows_what_matters(tmp_path):
    text = "grid: {strategy: ssgd, learners: [2, 4], seed: [0, 1]}\n"
    digests = [cell.digest for cell in grid(tmp_path, text)]
    assert len(set(digests)) == 4
    assert digests == [cell.digest for cell in grid(tmp_path, "data: {feats: elsewhere}\n" + text)]
    assert digests == [cell.digest for cell in grid(tmp_path, "base: {set: {checkpoint.keep: 1}}\n" + text)]
    for other in ("base: {set: {epochs: 3}}\n", "cluster: {preset: h200}\n"):
        (tmp_path / "s.yaml").write_text(
            "name: s\ncluster: {preset: v100_ethernet}\n".replace(*_swap(other)) + other + text
        )
        assert not set(digests) & {cell.digest for cell in cells(load_study(tmp_path / "s.yaml"))}


def _swap(other):
    return ("cluster: {preset: v100_ethernet}\n", "") if other.startswith("cluster") else ("", "")


def test_a_cluster_file_counts_with_its_content(tmp_path):
    def one(nodes):
        (tmp_path / "c.yaml").write_text(f"compute: {{frames_per_second: 100}}\nnodes: {nodes}\n")
        (tmp_path / "s.yaml").write_text("name: s\ncluster: {config: c.yaml}\ngrid: {strategy: single}\n")
        return cells(load_study(tmp_path / "s.yaml"))[0].digest

    assert one("1") == one("1 # a comment") != one("2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: {}", "grid has no axes"),
        ("grid: {strategy: [ssgd, ssgd]}", "each only once"),
        ("grid: {strategy: [ssgdd]}", "did you mean 'ssgd'"),
        ("grid: {learners: [0]}", "no number of learners"),
        ("grid: {straggler: [0.5]}", "a factor of at least 1"),
        ("grid: {learners: 4}", "'single' has one learner, not 4"),
        ("grid: {straggler: 5}", "straggler 1 is no rank of 1 learners"),
        ("grid: {optimizer.rate: [1]}", "optimizer is a name: settings of it go into optimizers.NAME"),
        ("grid: {epochs: [-1]}", "epochs is -1"),
        ("grid: {seed: [x]}", "seed is x"),
        ("grid: {seed: [0]}\nwhen: [{set: {epochs: 3}}]", "is no {cells: [RULE"),
        ("grid: {seed: [0]}\nwhen: [{cells: [{seed: 1}], set: {epochs: 3}}]", "seed has no value '1'"),
        ("grid: {seed: [0]}\nwhen: [{cells: [{seed: 0}], sett: {epochs: 3}}]", "is no {label: WORD"),
        ("grid: {x: [{set: {epochs: 1}}]}", "is no {label: WORD"),
        ("grid: {x: [{label: a, sett: {epochs: 1}}]}", "is no {label: WORD"),
        ("grid: {seed: [0, 1]}\nskip: [{learners: 4}]", "there is no axis 'learners'"),
        ("grid: {seed: [0, 1]}\nonly: [{seed: 2}]", "seed has no value '2'"),
        ("grid: {seed: [0, 1]}\nskip: [seed]", "is no rule such as"),
        ("grid: {seed: [0, 1]}\nskip: [{seed: [0, 1]}]", "no cell of the grid is left"),
        ("grid: {x: [{label: a b}, {label: a-b}]}", "two cells of the grid would be called"),
        ("grid: {seed: 0}\nname: a b", "a word of letters"),
        ("grid: {seed: 0}\ncluster: {preset: a, config: b}", "either a preset or a config"),
        ("grid: {seed: 0}\ncluster: {preset: h20}", "did you mean 'h200'?"),
        ("grid: {seed: 0}\ncluster: {preset: h200, set: {node: 1}}", "did you mean 'nodes'?"),
        ("grid: {strategy: ssgd, learners: 4096}", "too few for 4096 learners"),
        ("grid: {seed: 0}\nbase: {config: [none.yaml]}", "there is no file"),
        ("grid: {seed: 0}\nmarginn: 1", "did you mean 'margin'"),
        ("grid: {seed: 0}\nmargin: -1", "margin is -1"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    lines = {"name": "name: s\n", "cluster": "cluster: {preset: v100_ethernet}\n"}
    head = "".join(line for key, line in lines.items() if f"\n{key}:" not in text)
    (tmp_path / "s.yaml").write_text(head + text)
    with pytest.raises(ConfigError) as error:
        cells(load_study(tmp_path / "s.yaml"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "seeds"), [("batch", 3), ("strategies", 3), ("ema", 3), ("stragglers", 3), ("full", 1)]
)
def test_the_studies_of_this_repository_can_be_read(repo, name, seeds):
    found = cells(load_study(repo / "studies" / f"{name}.yaml"))
    assert {cell.config.seed for cell in found} == set(range(seeds))
    # A slow learner changes no weight of a strategy whose learners step together: one seed is enough there.
    once = [cell for cell in found if cell.labels["strategy"] == "delayed" and cell.labels["straggler"] == "5"]
    others = [cell for cell in found if cell not in once]
    assert len({cell.group for cell in others}) * seeds == len(others)
    assert len({cell.group for cell in once}) == len(once)
    assert f"| {len(found)} |" in next(
        line for line in (repo / "docs" / "studies.md").read_text().splitlines() if f"`studies/{name}.yaml`" in line
    )
