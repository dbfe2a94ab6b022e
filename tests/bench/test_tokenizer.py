import pytest

from runner.bench import tokenizer
from runner.contract.errors import InputError
from tests import samples

pytestmark = pytest.mark.torch


def test_the_published_prompt_has_its_seven_tokens():
    ids = tokenizer.kit()(samples.PROMPT)["input_ids"]
    assert len(ids) == 7
    assert tokenizer.kit().convert_ids_to_tokens(ids)[:2] == ["Deep", "Speed"]


def test_ids_stay_below_the_smallest_vocabulary():
    assert len(tokenizer.kit()) < samples.TINY.vocab_size


@pytest.mark.parametrize(
    "text", ["", "plain words", "tabs\tand\nlines", "ünïcödé 漢字 🎉", "DeepSpeed2023!?  two  spaces"]
)
def test_any_text_comes_back(text):
    kit = tokenizer.kit()
    assert kit.decode(kit(text)["input_ids"], skip_special_tokens=True) == text


def test_special_tokens_have_bloom_s_ids():
    kit = tokenizer.kit()
    assert (kit.unk_token_id, kit.bos_token_id, kit.eos_token_id, kit.pad_token_id) == (0, 1, 2, 3)


def test_shorter_rows_are_padded_on_the_left():
    rows = tokenizer.kit()(["a a a", "a"], padding=True)
    assert rows["attention_mask"][1][-1] == 1
    assert rows["input_ids"][1][0] == tokenizer.PADDING
    assert "token_type_ids" not in rows


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match="tokenizer.json is missing"):
        tokenizer.own(str(tmp_path))


def test_a_model_s_own_tokenizer_is_read_from_its_file(tmp_path):
    tokenizer.kit().backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    own = tokenizer.own(str(tmp_path))
    assert own(samples.PROMPT)["input_ids"] == tokenizer.kit()(samples.PROMPT)["input_ids"]
    assert own.pad_token_id == tokenizer.PADDING
