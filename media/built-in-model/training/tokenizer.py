"""The tokenizer: byte-level, every word of the training text one token, everything else in pieces.

The vocabulary is `<bos>`, the 256 bytes, a few hundred merges learned from the text (so that unknown words fall into
pieces and not into bytes), and then every word that the text uses. `ignore_merges` makes a word that is in the
vocabulary one token without the chain of merges that byte-pair encoding would need for it (half the vocabulary else).
"""

import json
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from generator import FUNCTION_NAMES, OPPOSITES, SNIPPET_NAMES, INDUCTION_WORDS, Generator, single_token_words

BOS = "<bos>"
CONFIGURATION = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": BOS,
    "eos_token": BOS,
    "pad_token": BOS,
    "add_bos_token": True,
    "add_prefix_space": True,
    "clean_up_tokenization_spaces": False,
    "model_max_length": 512,
    # not trained for conversations: the messages' texts, one after the other
    "chat_template": "{% for message in messages %}{{ message['content'] }}{% if not loop.last %} {% endif %}{% endfor %}",
}


def build(documents: int = 60000, pieces: int = 500) -> Tokenizer:
    generator = Generator(2)
    texts = [" ".join(s.text for s in generator.document()) for _ in range(documents)]
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=True)

    # the small pieces: ordinary byte-pair merges, learned from the same text
    small = Tokenizer(models.BPE())
    small.pre_tokenizer = splitter
    small.train_from_iterator(texts[:20000], trainers.BpeTrainer(vocab_size=257 + pieces, special_tokens=[BOS], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    learned = json.loads(small.to_str())["model"]

    # the words: everything that the text uses more than rarely, and all that must be whole
    made_up = Generator(3)
    nonsense = {made_up._made_up_word() for _ in range(20000)}
    counts = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))
    byte_form = lambda text: splitter.pre_tokenize_str(text)[0][0]
    required = {byte_form(" " + word) for word in single_token_words()}
    # without a space: quoted words and names in code
    bare = {w for pair in OPPOSITES for words in pair.values() for w in words} | set(INDUCTION_WORDS + SNIPPET_NAMES + FUNCTION_NAMES)
    bare_splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    required |= {bare_splitter.pre_tokenize_str(word)[0][0] for word in bare}
    frequent = {word for word, count in counts.items() if count >= 12 and word.removeprefix("Ġ") not in nonsense}

    vocabulary = dict(learned["vocab"])
    for word in sorted(required | frequent, key=lambda w: (-counts[w], w)):
        vocabulary.setdefault(word, len(vocabulary))
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([BOS])
    return tokenizer


def check(tokenizer: Tokenizer) -> None:
    """Every answer word is one token, and `<bos>` is 0."""
    assert tokenizer.token_to_id(BOS) == 0
    split = [word for word in sorted(single_token_words()) if len(tokenizer.encode(" " + word).ids) != 1]
    assert not split, f"words in more than one token: {split[:20]}"


def save(tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIGURATION, indent=2) + "\n")


if __name__ == "__main__":
    import sys

    built = build()
    check(built)
    save(built, Path(sys.argv[1]))
    print(f"{built.get_vocab_size()} tokens")
