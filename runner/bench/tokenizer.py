"""The tokenizers: the model's own for its real weights, a small one of the kit's for dummy weights."""

import os

from runner.contract.errors import InputError

# ids of BLOOM's special tokens, as its published configs say
UNKNOWN, BEGIN, END, PADDING = 0, 1, 2, 3
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]

# Words that the kit's tokenizer knows as one token, so that the published prompt has its 7 tokens. All else is bytes.
WORDS = ["Deep", "Speed", " is", " a", " machine", " learning", " framework", " the", " of", " and", " to", " in"]


def own(folder):
    """Return the tokenizer of a model folder, from its tokenizer.json alone: no code and no class named there is used."""
    path = os.path.join(folder, "tokenizer.json")
    if not os.path.isfile(path):
        raise InputError(f"{path} is missing. Fetch the model's tokenizer files at the same revision as its weights.")
    from tokenizers import Tokenizer

    return _wrapped(Tokenizer.from_file(path))


def kit():
    """Return the kit's tokenizer: byte-level, with merges for ``WORDS``; ids stay below 366, so any BLOOM can embed them."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(SPECIAL + alphabet)}
    merges = []
    for word in WORDS:
        symbols = word.replace(" ", "Ġ")  # how the byte-level alphabet writes a space
        for end in range(2, len(symbols) + 1):
            merged = symbols[:end]
            if merged not in vocabulary:
                vocabulary[merged] = len(vocabulary)
                merges.append((symbols[: end - 1], symbols[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token=SPECIAL[UNKNOWN]))
    # "DeepSpeed" is cut before its second capital; otherwise pieces are a word with the space before it
    pieces = pre_tokenizers.Split(Regex(r" ?[A-Z]?[a-z]+| ?[^\s\p{L}]+| ?\p{L}+|\s+"), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return _wrapped(tokenizer)


def _wrapped(tokenizer):
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
