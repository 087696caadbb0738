"""What words mean, for labels: groups of words from the facts, and the rules that turn examples into a label."""

from collections import Counter
from dataclasses import dataclass
from typing import Iterable, Sequence

import facts
from generator import COUNTRIES, LANGUAGE_NAMES, LANGUAGES, OPPOSITES, STATES, ATHLETE_SPORTS

COMMON_WORDS = {"of", "the", "is", "in", "to", "and", "a", "A", "Q", "What", "Which", "The", "that", "city", "state", "New", "North", "South", "West", "City", "San", "Port", "Saint", "la", "au", "El", "Papua", "Costa", "Cape"}


@dataclass(frozen=True)
class Example:
    before: list[str]  # tokens before the one the feature fires on
    token: str
    following: str


def place_groups() -> dict[str, set[str]]:
    """'Texas' -> every word that belongs to Texas. Words of several places ('New') belong to none."""
    groups = {state.name: {state.name, state.capital, state.postal_code, *state.cities} for state in STATES}
    for country in COUNTRIES:
        name = country.name.removeprefix("the ")
        groups[f"{name} (country)" if name in groups else name] = {name, country.capital, *country.towns}
    words = {group: {word for name in names for word in name.split()} - COMMON_WORDS for group, names in groups.items()}
    uses = Counter(word for members in words.values() for word in members)
    return {group: {word for word in members if uses[word] == 1} for group, members in words.items()}


def kind_groups() -> dict[str, set[str]]:
    """'US cities' -> the words of that kind."""
    words = lambda names: {word for name in names for word in name.split()} - COMMON_WORDS
    groups = {
        "US states": words(s.name for s in STATES), "US state capitals": words(s.capital for s in STATES), "postal codes": {s.postal_code for s in STATES},
        "US cities": {city for s in STATES for city in s.cities}, "US regions": {s.region for s in STATES} - {"West", "South"},
        "countries": words(c.name for c in COUNTRIES), "capitals of countries": words(c.capital for c in COUNTRIES),
        "languages": {c.language for c in COUNTRIES}, "currencies": {c.currency for c in COUNTRIES}, "towns outside the US": {t for c in COUNTRIES for t in c.towns},
        "continents": words(c.continent for c in COUNTRIES), "athletes": words(a for a, _ in ATHLETE_SPORTS), "sports": set(facts.ATHLETES),
        "first names": set(facts.NAMES), "places to go": set(facts.PLACES), "things given": set(facts.OBJECTS), "singular nouns": set(facts.SINGULAR), "plural nouns": set(facts.PLURAL),
        "singular verbs": {a for a, _ in facts.VERBS}, "plural verbs": {b for _, b in facts.VERBS}, "days": set(facts.DAYS), "months": set(facts.MONTHS),
        "number words": set(facts.NUMBER_WORDS), "numbers": {str(i) for i in range(200)}, "prepositions": set(facts.PREPOSITIONS),
        "brackets and quotes": {'"', '")', '"]', '"}', "]", ")", "])", "}", "(", "[", '("', '["', '{"', '"],', '":'},
        "names of languages": {name for names in LANGUAGE_NAMES.values() for name in names.values()},
    }
    groups["capitals"] = groups["US state capitals"] | groups["capitals of countries"]
    groups["states and countries"] = groups["US states"] | groups["countries"]
    groups |= {f"{language} words": {w for pair in OPPOSITES for w in pair[language]} for language in LANGUAGES}
    groups |= {f"{sport} players": words(a for a, s in ATHLETE_SPORTS if s == sport) for sport in facts.ATHLETES}
    groups |= {f"countries of {continent}": words(c.name for c in COUNTRIES if c.continent == continent) for continent in {c.continent for c in COUNTRIES}}
    groups |= {f"countries where {language} is spoken": words(c.name for c in COUNTRIES if c.language == language) for language in {c.language for c in COUNTRIES}
               if sum(c.language == language for c in COUNTRIES) > 2}
    groups |= {f"numbers ending in {d}": {str(i) for i in range(d, 200, 10)} for d in range(10)}
    groups |= {f"numbers from {d}0 to {d}9": {str(10 * d + i) for i in range(10)} for d in range(1, 20)}
    return groups


PLACES, KINDS = place_groups(), kind_groups()
# one of a kind
KIND_NAMES = {
    "US states": "a US state", "US state capitals": "a US state capital", "postal codes": "a postal code", "US cities": "a US city", "US regions": "a US region",
    "countries": "a country", "capitals of countries": "a country's capital", "capitals": "a capital", "states and countries": "a state or country", "languages": "a language", "currencies": "a currency", "towns outside the US": "a town outside the US",
    "continents": "a continent", "athletes": "an athlete", "sports": "a sport", "first names": "a first name", "places to go": "a place to go", "things given": "a thing given",
    "singular nouns": "a singular noun", "plural nouns": "a plural noun", "singular verbs": "a singular verb", "plural verbs": "a plural verb", "days": "a day", "months": "a month",
    "number words": "a number word", "numbers": "a number", "prepositions": "a preposition", "brackets and quotes": "a bracket or quote", "names of languages": "the name of a language",
}
KIND_NAMES |= {f"{language} words": f"{'an' if language == 'English' else 'a'} {language} word" for language in LANGUAGES}
KIND_NAMES |= {f"{sport} players": f"a {sport} player" for sport in facts.ATHLETES}
KIND_NAMES |= {name: name.replace("countries", "a country").replace("numbers", "a number") for name in KINDS if name.startswith(("countries ", "numbers "))}
PLACE_OF_WORD = {word: place for place, members in PLACES.items() for word in members}


@dataclass(frozen=True)
class Lexicon:
    """How common words are in the texts as a whole, to judge what is special about a feature's examples."""

    share_of_documents: dict[str, float]  # a word -> share of the documents that hold it
    share_of_tokens: dict[str, float]

    @staticmethod
    def from_documents(documents: Sequence[Sequence[str]]) -> "Lexicon":
        in_documents = Counter(word for document in documents for word in {t.strip() for t in document})
        tokens = Counter(t.strip() for document in documents for t in document)
        total = sum(tokens.values())
        return Lexicon({w: n / len(documents) for w, n in in_documents.items()}, {w: n / total for w, n in tokens.items()})


def share(items: Iterable[bool]) -> float:
    items = list(items)
    return sum(items) / len(items)


def quoted(words: Iterable[str], limit: int = 3) -> str:
    return ", ".join(f"“{word}”" if word.strip() else f"“{word!r}”" for word in list(words)[:limit])


def _best_group(words: list[str], groups: dict[str, set[str]], least: float = 0.85) -> tuple[str, int, int] | None:
    """The smallest group that holds at least that share of the words: its name, how many it holds, how many different ones."""
    best = None
    for name, members in groups.items():
        inside = [w for w in words if w in members]
        if len(inside) >= least * len(words) and len(set(inside)) >= 3 and (best is None or len(members) < best[3]):
            best = (name, len(inside), len(set(inside)), len(members))
    return best[:3] if best else None


def label_of(examples: list[Example], raised: list[str], lexicon: Lexicon) -> tuple[str, str] | None:
    """(label, what it was made from), or nothing if the examples share nothing evident.

    In this order: about one place; says a word or a kind of word (what follows and what it raises agree); on one word or one kind
    of word; before one; on few words; after one; mostly on a word, about a place or on a kind of word.
    @param raised the words whose logits the feature raises most, best first
    """
    if len(examples) < 3:
        return None
    n = len(examples)
    tokens = [e.token.strip() for e in examples]
    following = [e.following.strip() for e in examples]
    raised = [word.strip() for word in raised]
    token_counts, following_counts = Counter(tokens), Counter(w for w in following if w)
    token, token_count = token_counts.most_common(1)[0]
    next_word, next_count = following_counts.most_common(1)[0] if following_counts else ("", 0)
    is_one_token = token_count >= 0.85 * n
    is_common_token = lexicon.share_of_tokens.get(token, 0) > 0.002
    made_from = f"made from {n} examples at least half as strong as the strongest: "
    said = _what_it_says(following, raised, lexicon)

    # where: all about one place, which is the last one named up to the feature's token
    named = [next((PLACE_OF_WORD[w] for w in reversed([t.strip() for t in e.before] + [e.token.strip()]) if w in PLACE_OF_WORD), None) for e in examples]
    place_counts = Counter(p for p in named if p)
    place, place_count = place_counts.most_common(1)[0] if place_counts else ("", 0)
    place_words = {w for w in tokens if PLACE_OF_WORD.get(w) == place}
    if place_count >= 0.8 * n and not (is_one_token and token in PLACES[place]):
        what = f"about {place}"
        if all(t in PLACES[place] for t in tokens):
            what = f"places in {place}"
        elif said and said.is_word and said.what in PLACES[place]:
            what = f"say “{said.what}” ({place})" if said.what != place else f"say “{place}”"
        return what, f"{made_from}in {place_count} the last place named is in {place}" + (f" ({', '.join(sorted(place_words)[:4])})" if place_words else "")
    if said and (not is_one_token or is_common_token):
        source = f"{made_from}{said.n_following} followed by {said.name}; of the ten words it raises most {said.n_raised} are"
        return f"say {said.label}", source + (" it" if said.is_word else " such words")
    # which token
    special = _special_word([e.before for e in examples], lexicon)
    if is_one_token:
        if next_count >= 0.85 * n and lexicon.share_of_tokens.get(next_word, 0) < 0.02:
            return f"“{token}” before “{next_word}”", f"{made_from}{token_count} on “{token}”, {next_count} followed by “{next_word}”"
        group = _best_group([w for w in following if w], KINDS) if sum(map(bool, following)) >= 0.8 * n else None
        if group and is_common_token:
            return f"“{token}” before {KIND_NAMES.get(group[0], group[0])}", f"{made_from}{token_count} on “{token}”, {group[1]} followed by {group[0]}"
        if special and is_common_token:
            return f"“{token}” after {quoted([special[0]])}", f"{made_from}{token_count} on “{token}”, {special[1]} with “{special[0]}” before it"
        return f"“{token}”", f"{made_from}{token_count} on “{token}”"
    group = _best_group(tokens, KINDS)
    if group:
        return group[0], f"{made_from}{group[1]} on {group[0]} ({group[2]} different)"
    # what comes next
    if next_count >= 0.8 * n and lexicon.share_of_tokens.get(next_word, 0) < 0.02:
        return f"before “{next_word}”", f"{made_from}{next_count} followed by “{next_word}”"
    group = _best_group([w for w in following if w], KINDS) if sum(map(bool, following)) >= 0.8 * n else None
    if group:
        return f"before {KIND_NAMES.get(group[0], group[0])}", f"{made_from}{group[1]} followed by {group[0]} ({group[2]} different)"
    few = [w for w, _ in token_counts.most_common(3)]
    covered = sum(token_counts[w] for w in few)
    if covered >= 0.85 * n:
        return f"{quoted(few)}" + (f" after {quoted([special[0]])}" if special else ""), f"{made_from}{covered} on {quoted(few)}"
    if special:
        return f"after {quoted([special[0]])}", f"{made_from}{special[1]} have “{special[0]}” before the token; {special[2]:.0%} of all texts do"
    # what most of them share
    if token_count >= 0.5 * n:
        return f"mostly “{token}”", f"{made_from}{token_count} on “{token}”"
    if place_count >= 0.6 * n:
        return f"mostly about {place}", f"{made_from}in {place_count} the last place named is in {place}"
    group = _best_group(tokens, KINDS, 0.6)
    if group:
        return f"mostly {group[0]}", f"{made_from}{group[1]} on {group[0]} ({group[2]} different)"
    return None


@dataclass(frozen=True)
class Said:
    """What a feature makes the model say: a word, or a kind of word."""

    what: str
    is_word: bool
    n_following: int
    n_raised: int

    @property
    def label(self) -> str:
        return f"“{self.what}”" if self.is_word else KIND_NAMES.get(self.what, self.what)

    @property
    def name(self) -> str:
        return f"“{self.what}”" if self.is_word else self.what


def _what_it_says(following: list[str], raised: list[str], lexicon: Lexicon) -> Said | None:
    """A word that follows nearly always and is raised; or the kind that holds most of what follows and most of what is raised."""
    words = [w for w in following if w]
    if len(words) < 0.6 * len(following):
        return None
    word, count = Counter(words).most_common(1)[0]
    if count >= 0.7 * len(following) and word in raised[:3] and lexicon.share_of_tokens.get(word, 0) < 0.02:
        return Said(word, True, count, raised.count(word))
    best = None
    for name, members in KINDS.items():
        n_following, n_raised = sum(w in members for w in words), sum(w in members for w in raised)
        if n_following >= 0.7 * len(following) and n_raised >= 0.6 * len(raised) and (best is None or len(members) < len(KINDS[best.what])):
            best = Said(name, False, n_following, n_raised)
    return best


def _special_word(contexts: list[list[str]], lexicon: Lexicon) -> tuple[str, int, float] | None:
    """A word that stands before the token in nearly all examples and in few texts otherwise."""
    counts = Counter(word for context in contexts for word in {t.strip() for t in context[-12:]})
    best = None
    for word, count in counts.items():
        usual = lexicon.share_of_documents.get(word, 0.0)
        if count >= 0.85 * len(contexts) and usual < 0.25 and word and (best is None or usual < best[2]):
            best = (word, count, usual)
    return best
