import numpy as np
import pytest

from asrpar.decode.config import DecodeConfig
from asrpar.decode.decoder import make_decoder
from asrpar.decode.scales import SearchPoint
from asrpar.errors import ConfigError


def log_probs(classes, size):
    x = np.full((len(classes), size), -5.0, dtype=np.float32)
    x[range(len(classes)), classes] = -0.5
    return x


def engine_for(folder, tokens):
    (folder / "tokens.txt").write_text("".join(f"{t} {i}\n" for i, t in enumerate([*tokens, "#0"])), encoding="utf-8")
    return make_decoder(DecodeConfig(engine="greedy"), folder, 0.03)


def test_sentencepiece_units_give_words(tmp_path):
    engine = engine_for(tmp_path, ["<blk>", "▁HE", "LLO", "▁WORLD", "▁"])
    (h,) = engine.decode([("u", log_probs([0, 1, 1, 0, 2, 0, 3, 3, 4, 0], 5))])
    assert engine.unit == "words"
    assert h.words == ["HELLO", "WORLD"]
    assert h.start_times == pytest.approx([0.03, 0.18])
    assert h.end_times == pytest.approx([0.15, 0.24])
    assert h.score == pytest.approx(-5.0)


def test_characters_give_words_and_repeats_need_a_blank(tmp_path):
    engine = engine_for(tmp_path, ["<blk>", "▁", "A", "L"])
    (h,) = engine.decode([("u", log_probs([1, 2, 3, 3, 0, 3, 1, 2, 2], 4))])
    assert h.words == ["ALL", "A"]


def test_phones_stay_phones(tmp_path):
    engine = engine_for(tmp_path, ["<blk>", "AH", "T"])
    (h, empty) = engine.decode([("u", log_probs([1, 1, 2, 0, 2], 3)), ("e", np.zeros((0, 3), dtype=np.float32))])
    assert engine.unit == "tokens"
    assert h.words == ["AH", "T", "T"]
    assert (empty.words, empty.score) == ([], 0.0)


def test_blank_penalty(tmp_path):
    x = np.log(np.array([[0.6, 0.3, 0.1]], dtype=np.float32))
    engine_for(tmp_path, ["<blk>", "AH", "T"])
    assert make_decoder(DecodeConfig(engine="greedy"), tmp_path, 0.03).decode([("u", x)])[0].words == []
    engine = make_decoder(DecodeConfig(engine="greedy"), tmp_path, 0.03)
    assert engine.decode([("u", x)], SearchPoint(blank_penalty=1.0))[0].words == ["AH"]


def test_needs_tokens():
    with pytest.raises(ConfigError, match="give --lang"):
        make_decoder(DecodeConfig(engine="greedy"), None, 0.03)
