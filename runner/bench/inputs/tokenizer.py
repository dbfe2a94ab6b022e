"""The tokenizers: the model's own for real weights, a small tokenizer of the kit's own for dummy weights."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Mapping

from runner.bench.inputs import checkpoint
from runner.contract import files
from runner.contract.errors import InputError
from runner.contract.text import first_line

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

# The ids of BLOOM's special tokens, from its published configs, and their texts.
UNKNOWN, BEGIN, END, PADDING = (checkpoint.SPECIAL_IDS[f"{name}_token_id"] for name in ("unk", "bos", "eos", "pad"))
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]

# Words that are one token each in the kit's tokenizer, so that the published prompt has its 7 tokens. All other text is a token
# for each byte.
WORDS = ["Deep", "Speed", " is", " a", " machine", " learning", " framework", " the", " of", " and", " to", " in"]

# The size of a tokenizer.json that is still read. BLOOM's has 14.5 MB.
MAX_BYTES = 256 * 1024 * 1024


def of_model(folder: str, vocab_size: int, pinned: Mapping[str, str]) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a model folder in transformers' class; see ``read``."""
    return _wrapped(read(folder, vocab_size, pinned))


def read(folder: str, vocab_size: int, pinned: Mapping[str, str]) -> Tokenizer:
    """Return the tokenizer of a model folder, from its tokenizer.json alone: no code and no class that the file names is used.

    ``pinned`` maps names of the model's large files to their sha256. Raises ``InputError`` for a file that is missing, damaged,
    not the pinned one, or another model's: without BLOOM's special tokens, or with an id that ``vocab_size`` embeddings lack.
    """
    path = os.path.join(folder, "tokenizer.json")
    if not os.path.lexists(path):
        raise InputError(f"{path} is missing. Fetch the model's tokenizer files at the same revision as its weights.")
    content = files.read_bytes(path, MAX_BYTES, InputError, "Check --model-dir.")
    sha256 = hashlib.sha256(content).hexdigest()
    if pinned.get("tokenizer.json", sha256) != sha256:
        raise InputError(f"{path} is not the file that is pinned: its sha256 differs. Fetch it again.")
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(content.decode())
    except (KeyboardInterrupt, SystemExit):
        raise
    # A panic of the extension module is a BaseException and no Exception.
    except BaseException as problem:
        raise InputError(f"{path} is no whole tokenizer ({first_line(problem, 200)}). Fetch it again.") from None
    ids = tokenizer.get_vocab(with_added_tokens=True)
    special = {token: ids.get(token) for token in SPECIAL}
    if list(special.values()) != [UNKNOWN, BEGIN, END, PADDING] or max(ids.values()) >= vocab_size:
        raise InputError(
            f"{path} is another model's tokenizer: its special tokens are {special}, and its largest id is {max(ids.values())} of"
            f" {vocab_size} embeddings. Fetch the model's own."
        )
    return tokenizer


def kit() -> PreTrainedTokenizerFast:
    """Return the kit's tokenizer: byte-level, with merges for ``WORDS``. Ids stay below 366, so that any BLOOM can embed them."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(SPECIAL + alphabet)}
    merges = []
    for word in WORDS:
        # The byte-level alphabet writes a space as this letter.
        symbols = word.replace(" ", "Ġ")
        for end in range(2, len(symbols) + 1):
            merged = symbols[:end]
            if merged not in vocabulary:
                vocabulary[merged] = len(vocabulary)
                merges.append((symbols[: end - 1], symbols[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token=SPECIAL[UNKNOWN]))
    # "DeepSpeed" is cut before its second capital. All other pieces are a word with the space before it.
    pieces = pre_tokenizers.Split(Regex(r" ?[A-Z]?[a-z]+| ?[^\s\p{L}]+| ?\p{L}+|\s+"), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return _wrapped(tokenizer)


def _wrapped(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=SPECIAL[UNKNOWN],
        bos_token=SPECIAL[BEGIN],
        eos_token=SPECIAL[END],
        pad_token=SPECIAL[PADDING],
        padding_side="left",
        truncation_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
