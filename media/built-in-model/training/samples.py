"""The fifty sample prompts that the report measures graphs on, with the answer each should get.

The report checks for each whether the answer stays when all MLPs are replaced.
"""

from dataclasses import dataclass

import facts


@dataclass(frozen=True)
class Sample:
    prompt: str
    answer: str  # as the model says it, with its leading space; several right ones separated by "|"


# which verb comes cannot be known, only its number: any of them is right
SINGULAR_VERBS = "|".join(f" {one}" for one, _ in facts.VERBS)
PLURAL_VERBS = "|".join(f" {many}" for _, many in facts.VERBS)


def _samples(*rows: tuple[str, str]) -> list[Sample]:
    return [Sample(prompt, answer) for prompt, answer in rows]


SAMPLES = _samples(
    ("The capital of the state containing Dallas is", " Austin"),
    ("The capital of the state containing Oakland is", " Sacramento"),
    ("The capital of the state containing Seattle is", " Olympia"),
    ("The capital of the state containing Miami is", " Tallahassee"),
    ("The capital of the state containing Chicago is", " Springfield"),
    ("The state where Detroit is located has its capital at", " Lansing"),
    ("Philadelphia is in a state whose capital is", " Harrisburg"),
    ("The state containing Dallas is", " Texas"),
    ("The city of Boulder is located in", " Colorado"),
    ("The capital of Texas is", " Austin"),
    ("The capital of Oregon is", " Salem"),
    ("The postal code of the state containing Houston is", " TX"),
    ("The region of Ohio is the", " Midwest"),
    ("Honolulu is the capital of", " Hawaii"),
    ("The capital of France is", " Paris"),
    ("The capital of Japan is", " Tokyo"),
    ("The capital of Kenya is", " Nairobi"),
    ("The currency of Japan is the", " yen"),
    ("The currency of Poland is the", " zloty"),
    ("In Sweden people pay with the", " krona"),
    ("The language of Brazil is", " Portuguese"),
    ("People in Mexico speak", " Spanish"),
    ("The continent of Egypt is", " Africa"),
    ("The country containing Lyon is", " France"),
    ("The capital of the country containing Munich is", " Berlin"),
    ("The language of the country containing Osaka is", " Japanese"),
    ("The currency of the country containing Mumbai is the", " rupee"),
    ("Michael Jordan plays the sport of", " basketball"),
    ("Serena Williams is famous for playing", " tennis"),
    ("Wayne Gretzky plays", " hockey"),
    ("The opposite of small is", " big"),
    ('The opposite of "small" is "', "big"),
    ("Le contraire de petit est", " grand"),
    ("Das Gegenteil von klein ist", " groß"),
    ("Lo contrario de pequeño es", " grande"),
    ("The word small in French is", " petit"),
    ("The word cold in Spanish is", " frío"),
    ("When Mary and John went to the store, John gave a drink to", " Mary"),
    ("Then Alice and Tom went to the park. Alice gave a ball to", " Tom"),
    ("The keys near the cabinet", PLURAL_VERBS),
    ("The key near the cabinets", SINGULAR_VERBS),
    ("Monday, Tuesday, Wednesday,", " Thursday"),
    ("January, February, March,", " April"),
    ("10, 20, 30,", " 40"),
    ("one, two, three,", " four"),
    ("3 + 4 =", " 7"),
    ("7 + 8 =", " 15"),
    ("river lamp tiger cloud river lamp tiger", " cloud"),
    ('print("apple', '")'),
    ("size = [3, 14, 15", "]"),
)
assert len(SAMPLES) == 50
