"""What the report asks of the two-step circuit: the features of a state, swapping them, and the share of the first hop.

A state's features are found on prompts about all cities. At a position, a feature belongs to a state if it is on for at
least `share_on` of the state's cities and on average at least `times` as strong there as on cities of other states; a
feature that is not `times` as strong for any state is selective for none.
"""

import random
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from generator import PHRASINGS, STATE_OF_CITY, STATES
from model import Llama
from transcoders import TranscoderSet, activations_of



@dataclass(frozen=True)
class Selectivity:
    share_on: float
    times: float


SELECTIVE = Selectivity(share_on=0.3, times=2.0)
NARROW = Selectivity(share_on=0.5, times=4.0)
RELATION = "two steps: city to state to capital"
CITIES = sorted(STATE_OF_CITY)
STATE_NAMES = [state.name for state in STATES]
# phrasings with the city as the last word but one, so that "city" and "last" are the same positions in all
MAIN_PHRASING = PHRASINGS[RELATION][0]
PLACES_IN_PROMPT = ("city", "last")


class CityPrompts:
    """One phrasing filled with every city, and what the features do on it."""

    def __init__(self, model: Llama, transcoders: TranscoderSet, tokenizer: Tokenizer, phrasing: str):
        self.model, self.transcoders = model, transcoders
        before, after = phrasing.split("{A}")[0].split("{x}")
        ids = [[0, *tokenizer.encode(f"{before}{city}{after}").ids] for city in CITIES]
        self.ids = torch.tensor(ids)
        city_ids = [tokenizer.encode(" " + city).ids[0] for city in CITIES]
        self.city_position = ids[0].index(city_ids[0])
        self.last_position = len(ids[0]) - 1
        self.activations, logits = activations_of(model, transcoders, self.ids)  # per layer [city, pos, feature]
        self.capital = torch.tensor([tokenizer.encode(" " + STATE_OF_CITY[city].capital).ids[0] for city in CITIES])
        self.is_right = logits[:, -1].argmax(-1) == self.capital
        # membership[state, city]
        self.membership = torch.tensor([[STATE_OF_CITY[city].name == name for city in CITIES] for name in STATE_NAMES]).float()

    def position(self, place: str) -> int:
        return self.city_position if place == "city" else self.last_position

    def state_features(self, layer: int, place: str, selectivity: Selectivity) -> Tensor:
        """Which features belong to which state at a place of the prompt. [state, feature] bool"""
        active, inside, outside, share_on = self.by_state(layer, place)
        return (share_on >= selectivity.share_on) & (inside > selectivity.times * outside) & (inside > 0.05 * active.amax(0))

    def features_of_no_state(self, layer: int, place: str, selectivity: Selectivity) -> Tensor:
        """[feature] bool"""
        _, inside, outside, _ = self.by_state(layer, place)
        return (inside <= selectivity.times * outside).all(0)

    def by_state(self, layer: int, place: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Activations [city, feature]; their mean on the state's cities and on all others, and how many are on [state, feature]."""
        active = self.activations[layer][:, self.position(place)]
        n_cities = self.membership.sum(1, keepdim=True)
        inside = self.membership @ active / n_cities
        outside = (active.sum(0) - self.membership @ active) / (len(CITIES) - n_cities)
        return active, inside, outside, self.membership @ (active > 0).float() / n_cities


def groups_f1(selection: list[CityPrompts], tests: list[CityPrompts]) -> dict[str, dict]:
    """Per state the best group of features that fires on the state's contexts and on no other's.

    A group fires where the sum of its features' activations, each as a share of its own maximum, is above a limit.
    Features and limit are chosen one by one on the selection prompts (all cities in some phrasings) while they raise the
    F1 there; the figure is the F1 of that group on other phrasings. Features are looked at at the city's token and at the last.
    """
    n_layers, n_features = len(selection[0].activations), selection[0].transcoders.n_features
    largest = [torch.stack([p.activations[layer][:, 1:].amax((0, 1)) for p in selection]).amax(0).clamp_min(1e-6) for layer in range(n_layers)]

    def shares(prompts: list[CityPrompts]) -> Tensor:  # [phrasing × city, layer × place × feature]
        return torch.cat([torch.cat([p.activations[layer][:, p.position(place)] / largest[layer] for p in prompts])
                          for layer in range(n_layers) for place in PLACES_IN_PROMPT], 1)

    candidates, tested = shares(selection), shares(tests)
    # a feature that is on for hardly any or for most cities is none of a state's
    on = (candidates > 0).sum(0)
    possible = ((on >= 4) & (on <= len(candidates) // 2)).nonzero()[:, 0]
    sorted_candidates = candidates[:, possible].sort(0, descending=True)
    groups = {}
    for index, state in enumerate(STATE_NAMES):
        of_state = selection[0].membership[index].repeat(len(selection))
        single, _ = _best_limit(*sorted_candidates, of_state)
        promising = possible[single.topk(40).indices]
        chosen: list[int] = []
        total, best, limit = torch.zeros(len(candidates)), 0.0, 0.0
        while len(chosen) < 12:
            scores, limits = _best_limit(*(total[:, None] + candidates[:, promising]).sort(0, descending=True), of_state)
            winner = int(scores.argmax())
            if scores[winner] <= best:
                break
            best, limit = float(scores[winner]), float(limits[winner])
            chosen.append(int(promising[winner]))
            total = total + candidates[:, chosen[-1]]
        fires = tested[:, chosen].sum(1) > limit
        wanted = tests[0].membership[index].repeat(len(tests)) > 0
        f1 = 2 * float((fires & wanted).sum()) / float(fires.sum() + wanted.sum())
        names = [{"layer": i // n_features // 2, "place": PLACES_IN_PROMPT[i // n_features % 2], "feature": i % n_features} for i in chosen]
        groups[state] = {"features": names, "limit": round(limit, 3), "f1 where selected": round(best, 3), "f1": round(f1, 3)}
    return groups


def _best_limit(ordered: Tensor, order: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Per column of sums, sorted downwards: the best F1 over all limits, and that limit."""
    hits = wanted[order].cumsum(0)
    f1 = 2 * hits / (torch.arange(1, len(ordered) + 1)[:, None] + wanted.sum())
    f1[:-1][ordered[:-1] == ordered[1:]] = 0  # a limit lies between two different sums
    best = f1.max(0)
    below = torch.cat([ordered[1:], torch.zeros(1, ordered.shape[1])])
    return best.values, ((ordered + below) / 2).gather(0, best.indices[None])[0]


def intervened_logits(prompts: CityPrompts, city: int, wanted: dict[tuple[int, int], Tensor]) -> Tensor:
    """Last logits when, at (layer, position), activations are set to the wanted values (nan: left as they are).

    As the goldens' README defines an intervention: the MLP output gains (wanted - current) · decoder, the model's own output stays.
    """
    transcoders = prompts.transcoders
    changes: dict[int, Tensor] = {}

    def hook(layer: int, mlp_in: Tensor, mlp_out: Tensor) -> Tensor:
        current = transcoders.encode(layer, mlp_in)
        change = torch.zeros_like(current)
        for (at, position), values in wanted.items():
            if at == layer:
                change[0, position] = torch.where(values.isnan(), 0.0, values - current[0, position])
        changes[layer] = change
        return mlp_out + sum(changes[source] @ decoder for source, decoder in transcoders.writes_to(layer))

    with torch.no_grad():
        return prompts.model(prompts.ids[city:city + 1], hook)[0, -1]


def city_pairs(prompts: CityPrompts, count: int = 20) -> list[tuple[int, int]]:
    """Pairs of cities of different states, both answered rightly; Dallas and Oakland first."""
    rng = random.Random(5)
    right = [i for i in range(len(CITIES)) if prompts.is_right[i]]
    pairs = [(CITIES.index("Dallas"), CITIES.index("Oakland")), (CITIES.index("Oakland"), CITIES.index("Dallas"))]
    while len(pairs) < count:
        source, target = rng.sample(right, 2)
        if STATE_OF_CITY[CITIES[source]] != STATE_OF_CITY[CITIES[target]]:
            pairs.append((source, target))
    return pairs


def swap(prompts: CityPrompts, source: int, target: int, strength: float, is_control: bool = False, selectivity: Selectivity = SELECTIVE) -> int:
    """The most probable token after the source state's features are turned off and the target state's are on.

    From the city's token to the last. The control swaps, at each place, as many features that belong to no state: the
    most active ones on the source prompt off, the most active ones on the target prompt on.
    """
    source_state, target_state = (STATE_NAMES.index(STATE_OF_CITY[CITIES[i]].name) for i in (source, target))
    wanted = {}
    for layer, active in enumerate(prompts.activations):
        for position in range(prompts.city_position, prompts.last_position + 1):
            place = "city" if position == prompts.city_position else "last"
            belongs = prompts.state_features(layer, place, selectivity)
            off, on = belongs[source_state], belongs[target_state]
            there, other = active[source, position], active[target, position]
            if is_control:
                no_state = prompts.features_of_no_state(layer, place, selectivity)
                n_off, n_on = int((off & (there > 0)).sum()), int((on & (other > 0)).sum())
                off, on = torch.zeros_like(off), torch.zeros_like(on)
                off[(there * no_state).topk(n_off).indices] = True
                on[(other * no_state).topk(n_on).indices] = True
            values = torch.full_like(there, torch.nan)
            values[off] = 0.0
            values[on] = torch.maximum(there[on], strength * other[on])
            wanted[layer, position] = values
    return int(intervened_logits(prompts, source, wanted).argmax())


def first_hop_share(prompts: CityPrompts, pairs: list[tuple[int, int]]) -> dict[str, float]:
    """How much of the first hop (city → state) passes through MLP features at the city's token.

    The effect of a city is the change of (its capital's logit - another city's capital's logit) when the city's token is
    exchanged for the other. Share of it that remains when only the MLP features at that token are those of the other city
    ("features"), and when only the embedding is ("embedding").
    """
    position = prompts.city_position
    totals = {"features": 0.0, "embedding": 0.0, "both": 0.0}
    for source, target in pairs:
        lean = lambda logits: float(logits[prompts.capital[source]] - logits[prompts.capital[target]])
        features_of = lambda city: {(layer, position): active[city, position] for layer, active in enumerate(prompts.activations)}
        own, other = lean(intervened_logits(prompts, source, {})), lean(intervened_logits(prompts, target, {}))
        totals["features"] += own - lean(intervened_logits(prompts, source, features_of(target)))
        totals["embedding"] += own - lean(intervened_logits(prompts, target, features_of(source)))
        totals["both"] += own - other
    return {name: round(totals[name] / totals["both"], 3) for name in ("features", "embedding")}
