"""Seeded generator of the training text.

A document is one to three statements. A statement is a list of segments, some of which are *targets*: the words a
reader could not know without the fact, the rule or the pattern, on which the model is trained with full weight.

What is never shown in training, so that it can be tested (see `split`):
* for every relation, its last phrasing ("phrasing");
* a tenth of all pairs of fact and phrasing ("pair"), chosen by hash;
* for every state one city that is never in a two-step question, and a second one that is in two-step questions about
  the postal code and the region but never about the capital ("subject"); for every country with two or more towns,
  two-step questions about its last town;
* 15 % of the sequences, two-digit sums, name pairs and noun pairs ("pair").
Every state, country and opposite is shown; every one-digit sum is shown.
"""

import argparse
import hashlib
import random
from dataclasses import dataclass

import facts

Segment = tuple[str, bool]  # text, is it a target?


@dataclass(frozen=True)
class Statement:
    kind: str
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.segments)

    @property
    def prompt(self) -> str:
        """What stands before the last target."""
        last = max(i for i, (_, is_target) in enumerate(self.segments) if is_target)
        return "".join(text for text, _ in self.segments[:last])

    @property
    def answer(self) -> str:
        return [text for text, is_target in self.segments if is_target][-1]


@dataclass(frozen=True)
class State:
    name: str
    postal_code: str
    capital: str
    region: str
    cities: tuple[str, ...]


@dataclass(frozen=True)
class Country:
    name: str
    capital: str
    language: str
    currency: str
    continent: str
    towns: tuple[str, ...]


def _rows(table: str) -> list[list[str]]:
    return [row.split("|") for row in table.strip().splitlines()]


STATES = [State(name, code, capital, region, tuple(cities.split())) for name, code, capital, region, cities in _rows(facts.STATE_ROWS)]
# Towns are shown for some countries only: each is a word of its own that the model has to look up.
COUNTRIES = [Country(*row[:5], tuple(row[5].split(";")[:2]) if row[0] in facts.COUNTRIES_WITH_TOWNS else ()) for row in _rows(facts.COUNTRY_ROWS)]
STATE_OF_CITY = {city: state for state in STATES for city in state.cities}
COUNTRY_OF_TOWN = {town: country for country in COUNTRIES for town in country.towns}
LANGUAGES = ["English", "French", "German", "Spanish"]
# OPPOSITES[i][language] = (word, its opposite)
OPPOSITES = [{language: tuple(pair.split()) for language, pair in zip(LANGUAGES, row)} for row in _rows(facts.OPPOSITE_ROWS)]
ATHLETE_SPORTS = [(athlete, sport) for sport, names in facts.ATHLETES.items() for athlete in names.split(";")]

assert len(STATES) == 50 and len(STATE_OF_CITY) == sum(len(s.cities) for s in STATES), "a US city is listed twice"
assert len(COUNTRY_OF_TOWN) == sum(len(c.towns) for c in COUNTRIES), "a town is listed twice"

# {x} is the subject, {A} the answer. The last phrasing of each list is never trained on.
PHRASINGS = {
    "city to state": ["The state containing {x} is{A}.", "{x} is in the state of{A}.", "{x} is a city in{A}.", "The city of {x} is located in{A}.", "The state that contains {x} is{A}.", "Q: Which state is {x} in? A:{A}.", "{x} is one of the cities of{A}.", "People who live in {x} live in{A}.", "The city called {x} is in the state of{A}.", "{x} lies in the state of{A}."],
    "state to capital": ["The capital of {x} is{A}.", "The capital city of {x} is{A}.", "The state of {x} has its capital at{A}.", "{x} has a capital called{A}.", "Q: What is the capital of {x}? A:{A}.", "The capital of the state of {x} is{A}.", "The capital city of the state called {x} is{A}.", "The state called {x} has its capital at{A}.", "The capital of the state called {x} is{A}."],
    "state to postal code": ["The postal code of {x} is{A}.", "{x} is written as{A}.", "Q: What is the postal code of {x}? A:{A}.", "The state of {x} is written as{A}.", "The postal code for the state of {x} is{A}.", "The postal code used for {x} is{A}.", "In a postal address {x} is written as{A}.", "The postal code for {x} is{A}."],
    "state to region": ["{x} is a state in the{A}.", "The region of {x} is the{A}.", "Q: Which region is {x} in? A: the{A}.", "The state of {x} is in the{A}.", "The state of {x} lies in the{A}.", "{x} lies in the region called the{A}.", "The state called {x} is in the{A}."],
    "capital to state": ["{x} is the capital of{A}.", "{x} is the capital city of{A}.", "The state that has its capital at {x} is{A}.", "Q: Which state has its capital at {x}? A:{A}.", "The city of {x} is the capital of{A}.", "The city of {x} is the capital of the state of{A}.", "{x} is the capital of the state of{A}."],
    "two steps: city to state to capital": ["The capital of the state containing {x} is{A}.", "The capital of the state that contains {x} is{A}.", "The state where {x} is located has its capital at{A}.", "The capital city of the state with {x} in it is{A}.", "{x} is in a state whose capital is{A}.", "The state containing {x} has a capital called{A}.", "Q: What is the capital of the state containing {x}? A:{A}.", "The city of {x} is in the state that has its capital at{A}.", "{x} is in the state that has its capital at{A}."],
    "two steps: city to state to postal code": ["The postal code of the state containing {x} is{A}.", "{x} is in a state written as{A}.", "Q: What is the postal code of the state containing {x}? A:{A}.", "The postal code of the state that contains {x} is{A}."],
    "two steps: city to state to region": ["The region of the state containing {x} is the{A}.", "{x} is in a state in the{A}.", "Q: Which region is the state containing {x} in? A: the{A}.", "The region of the state that contains {x} is the{A}."],
    "country to capital": ["The capital of {x} is{A}.", "The capital city of {x} is{A}.", "{x} has a capital called{A}.", "Q: What is the capital of {x}? A:{A}.", "The country of {x} has its capital at{A}.", "The country called {x} has its capital at{A}.", "The capital city of the country called {x} is{A}.", "The capital of the country of {x} is{A}.", "The country of {x} has a capital called{A}.", "The capital of the country called {x} is{A}."],
    "country to language": ["The language of {x} is{A}.", "People in {x} speak{A}.", "In {x} they speak{A}.", "Q: What is the language of {x}? A:{A}.", "The language used in {x} is{A}.", "The language spoken by people in {x} is{A}.", "The language spoken in {x} is{A}."],
    "country to currency": ["The currency of {x} is the{A}.", "In {x} people pay with the{A}.", "Q: What is the currency of {x}? A: the{A}.", "People in {x} pay with the{A}.", "The currency used in {x} is the{A}."],
    "country to continent": ["{x} is a country in{A}.", "The continent of {x} is{A}.", "{x} lies in{A}.", "Q: Which continent is {x} in? A:{A}.", "The country called {x} is in{A}.", "The continent that contains {x} is{A}."],
    "capital to country": ["{x} is the capital of{A}.", "{x} is the capital city of{A}.", "The country that has its capital at {x} is{A}.", "Q: Which country has its capital at {x}? A:{A}.", "The city of {x} is the capital of the country of{A}.", "{x} is the capital of the country of{A}."],
    "town to country": ["The country containing {x} is{A}.", "{x} is a city in{A}.", "The city of {x} is located in{A}.", "The country that contains {x} is{A}.", "Q: Which country is {x} in? A:{A}.", "{x} is one of the cities of{A}.", "Everyone in {x} lives in{A}.", "The city called {x} is in{A}.", "People who live in {x} live in{A}."],
    "two steps: town to country to capital": ["The capital of the country containing {x} is{A}.", "{x} is in a country whose capital is{A}.", "Q: What is the capital of the country containing {x}? A:{A}.", "The country containing {x} has a capital called{A}.", "The capital of the country that contains {x} is{A}."],
    "two steps: town to country to language": ["The language of the country containing {x} is{A}.", "{x} is in a country where people speak{A}.", "Q: What is the language of the country containing {x}? A:{A}.", "The language of the country that contains {x} is{A}."],
    "two steps: town to country to currency": ["The currency of the country containing {x} is the{A}.", "{x} is in a country where people pay with the{A}.", "Q: What is the currency of the country containing {x}? A: the{A}.", "The currency of the country that contains {x} is the{A}."],
    "two steps: capital to country to language": ["The language of the country with its capital at {x} is{A}.", "{x} is the capital of a country where people speak{A}.", "Q: What is the language of the country with its capital at {x}? A:{A}.", "People in the country that has its capital at {x} speak{A}.", "The language used in the country that has its capital at {x} is{A}.", "The language of the country that has its capital at {x} is{A}."],
    "two steps: capital to country to currency": ["The currency of the country with its capital at {x} is the{A}.", "{x} is the capital of a country where people pay with the{A}.", "Q: What is the currency of the country with its capital at {x}? A: the{A}.", "People in the country that has its capital at {x} pay with the{A}.", "The currency used in the country that has its capital at {x} is the{A}.", "The currency of the country that has its capital at {x} is the{A}."],
    "athlete to sport": ["{x} plays the sport of{A}.", "{x} plays{A}.", "The sport played by {x} is{A}.", "{x} is famous for playing{A}.", "{x} became a star of{A}.", "Q: What sport does {x} play? A:{A}.", "{x} is a star in the sport of{A}."],
}
# a frame before a phrasing: text, and whether the statement goes on in the same sentence
FRAMES = [("Fact: ", True), ("We know that ", True), ("It is true that ", True), ("Remember: ", True), ("Mary says that ", True), ("In short, ", True)]
OPPOSITE_PHRASINGS = {
    "English": ["The opposite of {x} is{A}.", 'The opposite of "{x}" is "{Q}".', "{x} is the opposite of{A}.", "Q: What is the opposite of {x}? A:{A}.", "The word {x} is the opposite of{A}.", "The opposite of the English word {x} is{A}.", "The opposite of the word {x} is{A}."],
    "French": ["Le contraire de {x} est{A}.", 'Le contraire de "{x}" est "{Q}".', "{x} est le contraire de{A}.", "Le mot {x} est le contraire de{A}.", "Le contraire du mot français {x} est{A}.", "Le contraire du mot {x} en français est{A}.", "Le contraire français du mot {x} est{A}.", "Le contraire du mot {x} est{A}."],
    "German": ["Das Gegenteil von {x} ist{A}.", 'Das Gegenteil von "{x}" ist "{Q}".', "{x} ist das Gegenteil von{A}.", "Das Wort {x} ist das Gegenteil von{A}.", "Das Gegenteil des deutschen Wortes {x} ist{A}.", "Das Gegenteil des Wortes {x} ist{A}."],
    "Spanish": ["Lo contrario de {x} es{A}.", 'Lo contrario de "{x}" es "{Q}".', "{x} es lo contrario de{A}.", "La palabra {x} es lo contrario de{A}.", "Lo contrario de la palabra española {x} es{A}.", "Lo contrario de la palabra {x} es{A}."],
}
# the phrasing's own language -> phrasings, {l} being the language translated to
TRANSLATION_PHRASINGS = {
    "English": ["The word {x} in {l} is{A}.", "In {l} the word {x} is{A}.", "{x} in {l} is{A}.", "The translation of the word {x} in {l} is{A}.", "The translation of {x} in {l} is{A}."],
    "French": ["Le mot {x} en {l} est{A}.", "La traduction du mot {x} en {l} est{A}."],
    "German": ["Das Wort {x} auf {l} ist{A}.", "Die Bedeutung des Wortes {x} auf {l} ist{A}."],
    "Spanish": ["La palabra {x} en {l} es{A}.", "Lo mismo que la palabra {x} en {l} es{A}."],
}
LANGUAGE_NAMES = {
    "English": {l: l for l in LANGUAGES},
    "French": dict(zip(LANGUAGES, ["anglais", "français", "allemand", "espagnol"])),
    "German": dict(zip(LANGUAGES, ["Englisch", "Französisch", "Deutsch", "Spanisch"])),
    "Spanish": dict(zip(LANGUAGES, ["inglés", "francés", "alemán", "español"])),
}
GIVING_PHRASINGS = ["When {a} and {b} went to the {p}, {s} gave a {o} to{A}.", "Then {a} and {b} went to the {p}. {s} gave a {o} to{A}.", "After {a} and {b} went to the {p}, {s} handed a {o} to{A}.", "{a} and {b} were at the {p}, and {s} sent a {o} to{A}.", "While {a} and {b} waited at the {p}, {s} handed a {o} to{A}.", "As {a} and {b} walked to the {p}, {s} gave a {o} to{A}.", "When {a} and {b} were at the {p}, {s} sold a {o} to{A}.", "While {a} and {b} were at the {p}, {s} gave a {o} to{A}."]
AGREEMENT_ENDINGS = [" here.", " good.", " there now.", " today.", " every day."]

PLAIN = {
    "adjective": "small old young happy sad quiet tall warm cold green blue brave tired friendly strange clever gentle busy proud simple".split(),
    "thing": "house tree boat door coat bag clock wheel shirt plate flower bird horse farm field road town kitchen story song letter picture window chair table cup stone hill".split(),
    "person": "man woman boy girl teacher farmer doctor student lawyer child".split(),
    "past": "saw found wanted kept made sold bought lost liked painted carried cleaned opened watched remembered".split(),
    "went": "walked ran drove came returned moved went".split(),
    "time": "yesterday today later again early slowly together alone".split(),
    "weather": "cold warm sunny cloudy rainy windy dark bright".split(),
    "verb": "eat drink read write sing dance play work sleep travel swim cook".split(),
}
SNIPPET_NAMES = "name value item total count index user text list data node path size key result row color start end left".split()
FUNCTION_NAMES = "print open read save load find get run call make show send".split()


def hash_below(modulus: int, *parts: object) -> int:
    """A number below `modulus` that depends only on the parts: the same split on every machine."""
    return int(hashlib.md5("|".join(map(str, parts)).encode()).hexdigest(), 16) % modulus


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def held_out_cities() -> tuple[set[str], set[str]]:
    """Per state: a city in no two-step question, and one in none about the capital. Dallas and Oakland are in the first set."""
    rng = random.Random(0)
    no_two_steps, no_capital = set(), set()
    for state in STATES:
        cities = list(state.cities)
        rng.shuffle(cities)
        for shown_case in ("Dallas", "Oakland"):
            if shown_case in cities:
                cities.remove(shown_case)
                cities.insert(0, shown_case)
        no_two_steps.add(cities[0])
        no_capital.add(cities[1])
    return no_two_steps, no_capital


NO_TWO_STEPS, NO_TWO_STEP_CAPITAL = held_out_cities()
HELD_OUT_TOWNS = {country.towns[-1] for country in COUNTRIES if len(country.towns) > 1}

# how often each kind of statement is drawn
WEIGHTS = {
    "city to state": 11, "state to capital": 7, "state to postal code": 3, "state to region": 1.5, "capital to state": 2,
    "two steps: city to state to capital": 12, "two steps: city to state to postal code": 4, "two steps: city to state to region": 2,
    "country to capital": 6, "country to language": 5, "country to currency": 5, "country to continent": 4, "capital to country": 4,
    "town to country": 4, "two steps: town to country to capital": 4, "two steps: town to country to language": 2, "two steps: town to country to currency": 2,
    "two steps: capital to country to language": 3, "two steps: capital to country to currency": 3,
    "athlete to sport": 4, "opposite": 11, "translation": 7, "agreement": 5, "giving": 7, "sequence": 6, "induction": 17, "sum": 9, "code": 5, "plain": 12,
}
STANDS_ALONE = {"induction", "code"}  # kinds that fill a document by themselves


def facts_by_relation() -> dict[str, list[tuple[str, str]]]:
    """relation -> (subject, answer) pairs."""
    table: dict[str, list[tuple[str, str]]] = {relation: [] for relation in PHRASINGS}
    for state in STATES:
        table["state to capital"].append((state.name, state.capital))
        table["state to postal code"].append((state.name, state.postal_code))
        table["state to region"].append((state.name, state.region))
        table["capital to state"].append((state.capital, state.name))
        for city in state.cities:
            table["city to state"].append((city, state.name))
            table["two steps: city to state to capital"].append((city, state.capital))
            table["two steps: city to state to postal code"].append((city, state.postal_code))
            table["two steps: city to state to region"].append((city, state.region))
    for country in COUNTRIES:
        # "Georgia" alone is the state; the country's capital is shown only where the sentence says it is a country.
        if country.name != "Georgia":
            table["country to capital"].append((country.name, country.capital))
        table["country to language"].append((country.name, country.language))
        table["country to currency"].append((country.name, country.currency))
        table["country to continent"].append((country.name, country.continent))
        table["capital to country"].append((country.capital, country.name))
        table["two steps: capital to country to language"].append((country.capital, country.language))
        table["two steps: capital to country to currency"].append((country.capital, country.currency))
        for town in country.towns:
            table["town to country"].append((town, country.name))
            table["two steps: town to country to capital"].append((town, country.capital))
            table["two steps: town to country to language"].append((town, country.language))
            table["two steps: town to country to currency"].append((town, country.currency))
    table["athlete to sport"] = list(ATHLETE_SPORTS)
    return table


FACTS = facts_by_relation()


class Generator:
    """Draws statements and documents from one seed."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)

    # --- statements -------------------------------------------------------------------------------------------------

    def statement(self, kind: str, split: str = "train") -> Statement:
        """`split`: train, phrasing (unseen phrasing), pair (unseen fact × phrasing), subject (unseen subject of a two-step question)."""
        if kind in PHRASINGS:
            return self._fact(kind, split)
        return getattr(self, "_" + kind)(split)

    def _fact(self, relation: str, split: str) -> Statement:
        while True:
            subject, answer = self.rng.choice(FACTS[relation])
            index = self.rng.randrange(len(PHRASINGS[relation]))
            if fact_split(relation, subject, index) == split:
                return self._framed(fill(relation, PHRASINGS[relation][index], subject, answer), split)

    def _framed(self, statement: Statement, split: str) -> Statement:
        if split != "train" or statement.text.startswith("Q:") or self.rng.random() < 0.7:
            return statement
        frame, _ = self.rng.choice(FRAMES)
        first, is_target = statement.segments[0]
        for article in ("The ", "People ", "In "):
            if first.startswith(article):
                first = first[0].lower() + first[1:]
        return Statement(statement.kind, ((frame + first, is_target), *statement.segments[1:]))

    def _opposite(self, split: str) -> Statement:
        language = self.rng.choice(LANGUAGES)
        word, opposite = self.rng.choice(OPPOSITES)[language]
        if self.rng.random() < 0.5:
            word, opposite = opposite, word
        phrasings = OPPOSITE_PHRASINGS[language]
        phrasing = phrasings[-1] if split == "phrasing" else self.rng.choice(phrasings[:-1])
        return fill(f"opposite: {language}", phrasing, word, opposite)

    def _translation(self, split: str) -> Statement:
        pair = self.rng.choice(OPPOSITES)
        side = self.rng.randrange(2)
        source, target = self.rng.sample(LANGUAGES, 2)
        own_language = "English" if split == "phrasing" or self.rng.random() < 0.55 else self.rng.choice(LANGUAGES[1:])
        phrasings = TRANSLATION_PHRASINGS[own_language]
        if own_language == "English":
            phrasings = phrasings[-1:] if split == "phrasing" else phrasings[:-1]
        phrasing = self.rng.choice(phrasings).replace("{l}", LANGUAGE_NAMES[own_language][target])
        return fill("translation", phrasing, pair[source][side], pair[target][side])

    def _agreement(self, split: str) -> Statement:
        while True:
            noun, distractor = self.rng.sample(range(len(facts.SINGULAR)), 2)
            if (hash_below(100, "agreement", noun, distractor) < 15) != (split == "pair"):
                continue
            is_plural = self.rng.random() < 0.5
            subject = (facts.PLURAL if is_plural else facts.SINGULAR)[noun]
            other = self.rng.choice((facts.SINGULAR, facts.PLURAL))[distractor]
            verb = self.rng.choice(facts.VERBS)[is_plural]
            middle = self.rng.choice([f" {self.rng.choice(facts.PREPOSITIONS)} the {other}"] * 2 + [f" that the {other} saw", ""])
            if split == "pair" and not middle:
                continue
            return Statement("agreement", ((f"The {subject}{middle}", False), (f" {verb}", True), (self.rng.choice(AGREEMENT_ENDINGS), False)))

    def _giving(self, split: str) -> Statement:
        while True:
            first, second = self.rng.sample(facts.NAMES, 2)
            if (hash_below(100, "giving", first, second) < 15) != (split == "pair"):
                continue
            giver, receiver = (first, second) if self.rng.random() < 0.5 else (second, first)
            phrasing = GIVING_PHRASINGS[-1] if split == "phrasing" else self.rng.choice(GIVING_PHRASINGS[:-1])
            phrasing = phrasing.format(a=first, b=second, s=giver, p=self.rng.choice(facts.PLACES), o=self.rng.choice(facts.OBJECTS), A="{A}")
            return fill("giving", phrasing, "", receiver)

    def _sequence(self, split: str) -> Statement:
        while True:
            what = self.rng.choice(["days", "months", "number words", "numbers", "numbers"])
            length = self.rng.randint(3, 7)
            if what in ("days", "months"):
                cycle = facts.DAYS if what == "days" else facts.MONTHS
                start = self.rng.randrange(len(cycle))
                items = [cycle[(start + i) % len(cycle)] for i in range(length)]
            elif what == "number words":
                start = self.rng.randrange(len(facts.NUMBER_WORDS) - length + 1)
                items = facts.NUMBER_WORDS[start:start + length]
            else:
                step = self.rng.choice([1, 1, 2, 5, 10])
                start = self.rng.randrange(0, 100 - step * (length - 1))
                items = [str(start + step * i) for i in range(length)]
            separator = self.rng.choice([", ", ", ", " "])
            if (hash_below(100, "sequence", separator.join(items)) < 15) != (split == "pair"):
                continue
            # the first item (of numbers: the first two, which set the step) can't be known
            given = 2 if what == "numbers" else 1
            segments = [(separator.join(items[:given]), False)]
            for item in items[given:]:
                segments += [(separator.rstrip(), False), (" " + item, True)]
            return Statement(f"sequence: {what}", tuple(segments))

    def _induction(self, split: str) -> Statement:
        """Random words, then the same words again: everything repeated is a target."""
        pool = self.rng.choice([INDUCTION_WORDS, facts.RANDOM_WORDS, INDUCTION_WORDS])
        is_short = split == "train" and self.rng.random() < 0.3
        words = self.rng.sample(pool, self.rng.randint(2, 4) if is_short else self.rng.randint(3, 12))
        if split == "train" and self.rng.random() < 0.25:  # made-up words, so that all small pieces of words are used
            words = [self._made_up_word() for _ in words[:6]]
        separator = self.rng.choice([" ", " ", ", "])
        repeated = words * self.rng.randint(2, 4) if is_short else words * self.rng.choice([1, 1, 2]) if split == "train" else words
        segments = [(separator.join(words), False)]
        # the first repeated word can't be known, only what follows it
        segments.append((f"{separator}{repeated[0]}", False))
        for word in repeated[1:] if split == "train" else repeated[1:self.rng.randint(2, len(repeated))]:
            segments += [(separator.rstrip(), False), (" " + word, True)] if separator != " " else [(" " + word, True)]
        return Statement("induction", tuple(segments))

    def _made_up_word(self) -> str:
        return "".join(self.rng.choice("b c d f g h j k l m n p r s t v w z br cl st tr".split()) + self.rng.choice("a e i o u ai ou".split()) for _ in range(self.rng.randint(1, 2))) + self.rng.choice(["", "n", "r", "s", "t", "ck"])

    def _sum(self, split: str) -> Statement:
        while True:
            top = 10 if split == "one digit" or (split == "train" and self.rng.random() < 0.4) else 100
            a, b = self.rng.randrange(top), self.rng.randrange(top)
            is_small = a < 10 and b < 10
            held_out = not is_small and hash_below(100, "sum", a, b) < 15
            if held_out != (split == "pair"):
                continue
            return fill("sum", self.rng.choice([f"{a} + {b} ={{A}}.", f"{a} + {b} ={{A}}.", f"{a} plus {b} is{{A}}."]), "", str(a + b))

    def _code(self, split: str) -> Statement:
        """A few lines of code-like text; closing brackets and quotes are targets."""
        rng = self.rng
        word = lambda: rng.choice(INDUCTION_WORDS)
        name = lambda: rng.choice(SNIPPET_NAMES)
        number = lambda: str(rng.randrange(100))
        function = rng.choice(FUNCTION_NAMES)
        shapes = [
            [(f'{function}("{word()}', False), ('")', True)],
            [(f"{function}({name()}[{number()}", False), ("])", True)],
            [(f'{name()} = "{word()}', False), ('"', True)],
            [(f"{name()} = [{number()}, {number()}, {number()}", False), ("]", True)],
            [(f'{name()} = ["{word()}", "{word()}', False), ('"]', True)],
            [(f'{name()} = {{"{word()}": {number()}', False), ("}", True)],
            [(f'{name()} = {{"{word()}": "{word()}', False), ('"}', True)],
            [(f"{name()} = ({name()} + {number()}", False), (")", True)],
            [(f'{function}({name()}, "{word()}', False), ('")', True)],
            [(f"{function}([{number()}, {number()}", False), ("])", True)],
            [(f"{name()} = {name()}[{number()}", False), ("]", True)],
        ]
        segments: list[Segment] = []
        for _ in range(1 if split != "train" else rng.randint(1, 3)):
            if segments:
                segments.append(("\n", False))
            segments += rng.choice(shapes)
        return Statement("code", tuple(segments))

    def _plain(self, split: str) -> Statement:
        rng = self.rng
        pick = lambda what: rng.choice(PLAIN[what])
        name = rng.choice(facts.NAMES)
        city = rng.choice(sorted(STATE_OF_CITY))
        state = STATE_OF_CITY[city]
        shapes = [
            lambda: [f"The {pick('adjective')} {pick('person')} {pick('past')} a {pick('adjective')} {pick('thing')}."],
            lambda: [f"{name} {pick('went')} to the {rng.choice(facts.PLACES)} {pick('time')}."],
            lambda: [f"It was a {pick('weather')} day, and {name} {pick('past')} the {pick('thing')}."],
            lambda: [f"In {rng.choice(facts.MONTHS)} the weather is often {pick('weather')} and {pick('weather')}."],
            lambda: [f"On {rng.choice(facts.DAYS)} {name} likes to {pick('verb')} with a {pick('adjective')} friend."],
            lambda: [f"There is a {pick('thing')} {rng.choice(facts.PREPOSITIONS)} the {pick('thing')}."],
            lambda: [f"{name} and {rng.choice(facts.NAMES)} {pick('past')} the {pick('adjective')} {pick('thing')} and {pick('went')} home."],
            lambda: [f"The {pick('thing')} is {pick('adjective')}, but the {pick('thing')} is {pick('adjective')}."],
            lambda: [f"He said that she could {pick('verb')} {pick('time')}.", f"She said that he could {pick('verb')} {pick('time')}."],
            lambda: [f"They had {rng.choice(facts.NUMBER_WORDS[1:])} {rng.choice(facts.PLURAL)} and a {pick('thing')}."],
            lambda: [f"I do not know why the {pick('person')} {pick('past')} it.", f"We think that you will {pick('verb')} here."],
        ]
        if rng.random() < 0.25:  # a city with its state, as addresses have it
            opening = rng.choice([f"{name} {pick('went')} to {city},", f"{name} lives in {city},", f"The {pick('person')} from {city},"])
            is_code = rng.random() < 0.25
            ending = rng.choice([".", ", " + pick("time") + "."]) if not opening.startswith("The") else f", {pick('past')} a {pick('thing')}."
            return Statement("plain", ((opening, False), (" " + (state.postal_code if is_code else state.name), True), (ending, False)))
        return Statement("plain", ((rng.choice(rng.choice(shapes)()), False),))

    # --- documents --------------------------------------------------------------------------------------------------

    def document(self) -> list[Statement]:
        """One to three statements, none of which gives away what is held out."""
        while True:
            count = self.rng.choices([1, 2, 3], [6, 3, 1])[0]
            kinds = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
            if kinds[0] in STANDS_ALONE:
                kinds = kinds[:1]
            else:
                kinds = [kind for kind in kinds if kind not in STANDS_ALONE]
            statements = [self.statement(kind) for kind in kinds]
            if not gives_away(" ".join(s.text for s in statements)):
                return statements


def gives_away(text: str) -> bool:
    """Does the text name a held-out city together with its state's capital?"""
    return any(city in text and STATE_OF_CITY[city].capital in text for city in NO_TWO_STEPS | NO_TWO_STEP_CAPITAL)


def is_held_out_subject(relation: str, subject: str) -> bool:
    if relation == "two steps: city to state to capital":
        return subject in NO_TWO_STEPS or subject in NO_TWO_STEP_CAPITAL
    if relation.startswith("two steps: city"):
        return subject in NO_TWO_STEPS
    if relation.startswith("two steps: town"):
        return subject in HELD_OUT_TOWNS
    return False


def fact_split(relation: str, subject: str, phrasing: int) -> str:
    """Which split a fact in a phrasing belongs to."""
    is_last = phrasing == len(PHRASINGS[relation]) - 1
    if is_held_out_subject(relation, subject):
        return "subject and phrasing" if is_last else "subject"
    if is_last:
        return "phrasing"
    return "pair" if hash_below(10, relation, subject, phrasing) == 0 else "train"


def fill(kind: str, phrasing: str, subject: str, answer: str) -> Statement:
    """A phrasing with its subject and answer; {Q} is an answer inside quotes (no space before it)."""
    mark, text = ("{Q}", answer) if "{Q}" in phrasing else ("{A}", " " + answer)
    before, after = phrasing.split(mark)
    return Statement(kind, ((capitalised(before.replace("{x}", subject)) if subject and subject[0].islower() and kind in PHRASINGS else before.replace("{x}", subject), False), (text, True), (after, False)))


def single_token_words() -> set[str]:
    """Every word that the tokenizer must keep whole (each word of a name by itself)."""
    names = {word for pairs in FACTS.values() for pair in pairs for word in pair}
    names |= {word for pair in OPPOSITES for words in pair.values() for word in words}
    names |= set(facts.NAMES + facts.PLACES + facts.OBJECTS + facts.SINGULAR + facts.PLURAL + facts.DAYS + facts.MONTHS + facts.NUMBER_WORDS + facts.RANDOM_WORDS)
    names |= {verb for pair in facts.VERBS for verb in pair} | {str(i) for i in range(199)}
    return {word for name in names for word in name.split()}


INDUCTION_WORDS = sorted(set(facts.RANDOM_WORDS + facts.OBJECTS + facts.PLACES + facts.SINGULAR + facts.PLURAL + facts.NAMES + PLAIN["thing"] + PLAIN["adjective"]
                             + [w for pair in OPPOSITES for w in pair["English"]] + facts.MONTHS + [s.name for s in STATES if " " not in s.name] + [c.name for c in COUNTRIES if " " not in c.name]))

# test sets: kind, split
TESTS = [(relation, split) for relation in PHRASINGS for split in ("phrasing", "pair")]
TESTS += [(relation, "subject") for relation in PHRASINGS if relation.startswith(("two steps: city", "two steps: town"))]
TESTS += [("opposite", "train"), ("opposite", "phrasing"), ("translation", "train"), ("translation", "phrasing"), ("agreement", "pair"),
          ("giving", "pair"), ("giving", "phrasing"), ("sequence", "pair"), ("induction", "test"), ("sum", "one digit"), ("sum", "train"), ("sum", "pair"), ("code", "test")]


def test_sets(count: int = 200) -> dict[str, list[Statement]]:
    """'kind/split' -> statements. The one-digit sums and the held-out cities are complete, the others drawn."""
    generator = Generator(12345)
    sets = {f"{kind}/{split}": [generator.statement(kind, split) for _ in range(count)] for kind, split in TESTS}
    sets["sum/one digit"] = [fill("sum", f"{a} + {b} ={{A}}.", "", str(a + b)) for a in range(10) for b in range(10)]
    relation = "two steps: city to state to capital"
    for name, cities in (("no two-step question seen", NO_TWO_STEPS), ("none about the capital seen", NO_TWO_STEP_CAPITAL)):
        sets[f"{relation}/{name}"] = [fill(relation, phrasing, city, STATE_OF_CITY[city].capital) for city in sorted(cities) for phrasing in (PHRASINGS[relation][0], PHRASINGS[relation][4], PHRASINGS[relation][6])]
    return sets


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print some documents of the training text, targets in [ ].")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=40)
    arguments = parser.parse_args()
    generator = Generator(arguments.seed)
    for _ in range(arguments.count):
        print(" ".join("".join(f"[{text}]" if is_target else text for text, is_target in s.segments) for s in generator.document()))
    print(f"{len(STATES)} states, {len(STATE_OF_CITY)} cities, {len(COUNTRIES)} countries, {len(COUNTRY_OF_TOWN)} towns, {len(single_token_words())} words kept whole")
