import os

import pytest

from runner.bench.inputs import tokenizer
from runner.contract.errors import InputError
from runner.contract.files import sha256_of_file
from tests.support import samples

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


@pytest.fixture
def stored(tmp_path):
    """Return the path of the kit's tokenizer, saved as a model's own."""
    tokenizer.kit().backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def own(path, vocab_size=samples.TINY.vocab_size, pinned=None):
    return tokenizer.of_model(str(path.parent), vocab_size, pinned or {})


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match="tokenizer.json is missing"):
        own(tmp_path / "tokenizer.json")


def test_a_model_s_own_tokenizer_is_read_from_its_file(stored):
    found = own(stored, pinned={"tokenizer.json": sha256_of_file(stored)})
    assert found(samples.PROMPT)["input_ids"] == tokenizer.kit()(samples.PROMPT)["input_ids"]
    assert found.pad_token_id == tokenizer.PADDING


@pytest.mark.parametrize(
    "spoil, told",
    [
        (lambda path: path.write_text(path.read_text()[:-9]), "is no whole tokenizer "),
        (lambda path: path.write_text("{}"), "is no whole tokenizer "),
        (lambda path: path.write_text("[]"), "is no whole tokenizer "),
        (lambda path: path.write_text(""), "is no whole tokenizer "),
        (lambda path: path.write_bytes(b"\xff\xfe{"), "is no whole tokenizer "),
        (
            lambda path: path.write_text(path.read_text().replace("<pad>", "[PAD]")),
            "another model's tokenizer: .*<pad>",
        ),
        (lambda path: (path.unlink(), os.mkfifo(path)), "cannot be read: it is a FIFO"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "it is a link to nowhere, which is not there"),
    ],
)
def test_a_damaged_tokenizer_is_named_with_its_file(stored, spoil, told):
    spoil(stored)
    with pytest.raises(InputError, match=rf"tokenizer.json .*{told}") as caught:
        own(stored)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_that_is_not_the_pinned_one_is_refused(stored):
    with pytest.raises(InputError, match="tokenizer.json is not the file that is pinned"):
        own(stored, pinned={"tokenizer.json": "0" * 64})


def test_a_tokenizer_with_more_ids_than_embeddings_is_refused(stored):
    with pytest.raises(InputError, match="its largest id is [0-9]+ of 100 embeddings"):
        own(stored, vocab_size=100)
