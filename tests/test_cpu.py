"""What the processor can do."""

import pytest

from asrpar import cpu

AMX = {"model name": "Xeon", "flags": "fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile"}
ISA = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
NO_AMX = {"model name": "EPYC", "flags": "fpu avx2 avx512f avx512_bf16"}


@pytest.fixture
def on(monkeypatch):
    for name in ISA:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    return lambda found: monkeypatch.setattr(cpu, "cpuinfo", lambda: found)


def test_a_processor_is_named_with_its_matrix_units(on):
    on(AMX)
    assert cpu.cpu() == "Xeon (amx_bf16, avx512_bf16, avx512f, avx2)"
    on({})
    assert "none of amx_bf16" in cpu.cpu()


def test_this_processor_has_a_name():
    assert cpu.cpuinfo() and cpu.cpu()[0] != "("


def test_only_amx_multiplies_bfloat16_faster(on, monkeypatch):
    on(NO_AMX)
    assert cpu.lacks_fast_bf16() == "EPYC (avx512_bf16, avx512f, avx2) has no amx_bf16"
    on(AMX)
    assert cpu.lacks_fast_bf16() == ""
    for name in ISA:
        for isa, fast in (("all", True), ("AVX10_1_512_AMX", True), ("AVX2", False), ("avx512_core_bf16", False)):
            monkeypatch.setenv(name, isa)
            assert (cpu.lacks_fast_bf16() == "") is fast
        monkeypatch.delenv(name)
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert "ATEN_CPU_CAPABILITY=avx2" in cpu.lacks_fast_bf16()
