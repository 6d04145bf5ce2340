"""tools/bench/strategies.py on a small model. Speeds themselves are not tested."""

import json

import pytest


@pytest.mark.mpi
def test_variants_take_turns(mpirun, repo, tmp_path):
    output = tmp_path / "table.json"
    variants = "alone,ddp,ssgd,ssgd:network:bf16,adpsgd,bmuf:sync_steps=2,delayed:bf16"
    options = ["--models", "dnn8x16", "--repeats", 2, "--steps", 2, "--strategies", variants, "--output", output]
    done = mpirun(2, repo / "tools/bench/strategies.py", "--as-rank", *options)
    found = json.loads(output.read_text())["models"]["dnn8x16"]
    assert found["parameters"] == 441 * 16 + 5 * 17 * 16 + 17 * 1000
    assert found["frames_per_rank_and_step"] == 8
    # A strategy that cannot do what is asked is named, and the others are measured.
    assert list(found["missing"]) == ["delayed:bf16"]
    assert list(found["frames_per_second"]) == variants.split(",")[:-1]
    assert all(len(rates) == 2 and min(rates) > 0 for rates in found["frames_per_second"].values())
    assert {f"{kind} over {base}" for kind in ("wall", "processor") for base in ("ddp", "alone")} == set(
        found["ratios"]
    )
    assert found["ratios"]["processor over alone"]["alone"] == 1.0
    assert "missing" in done.stdout
