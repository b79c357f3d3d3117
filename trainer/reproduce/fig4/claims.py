"""What Fig. 4 claims, and what came out."""

import numpy as np

from trainer.reproduce.courses import TASKS
from trainer.reproduce.fig4 import unusual
from trainer.reproduce.fig4.cost import BATCHES
from trainer.reproduce.fig4.standing import (
    LMMOES,
    MARGIN,
    Standing,
    instructions,
    is_within,
    least,
    level,
    matches,
    medians,
    of_family,
    quartiles,
    ratio,
    strictest,
    worst,
)
from trainer.reproduce.fig4.step import Fig4
from trainer.reproduce.fig4.variants import Variant
from trainer.reproduce.material import LEFT_OUT

NOT_RUN = "not run yet"

_AIM_SHARE, _AIM_SPEED = 0.5, 2.0


def outcomes(found: Fig4) -> list[list[str]]:
    """Rows of the page's first table: claim, what was measured, verdict."""
    claim = "Fig. 4: half the weights and twice the speed at equal AUC"
    pair = strictest(found) if found.variants else None
    if pair is None:
        return [[claim, NOT_RUN, ""]]
    rows = [
        [
            (
                f"{claim}: the least LMMoE by the least LSTMs of one task each, both within "
                f"{MARGIN} of the best such LSTMs in every task, in-source and left out"
            ),
            _told(found, pair),
            _verdict(pair),
        ]
    ]
    rows += [
        [f"Fig. 4: the same, against {each.singles.size}", _told(found, each), _verdict(each)]
        for each in matches(found)
    ]
    rows += _of_shared(found)
    rows += _of_algorithm1(found)
    rows += _of_kitsune(found, pair.lmmoe)
    return rows


def _told(found: Fig4, pair: Standing) -> str:
    counts = [found.networks.parameters(each) for each in (pair.lmmoe, pair.singles)]
    told = (
        f"LMMoE of {pair.lmmoe.size}: {counts[0]} weights of {counts[1]}, {pair.share:.0%}; worst "
        f"area {worst(medians(found, pair.lmmoe), medians(found, pair.singles)):+.4f}"
    )
    if pair.speed:
        length = max(length for length, _ in pair.speed)
        speeds = ", ".join(f"{pair.speed[length, batch]} at batch {batch}" for batch in BATCHES)
        told += f"; speed {speeds}"
    counted = instructions(found.costs, pair.singles, pair.lmmoe)
    return told + (f"; instructions {counted:.2f} ×" if counted else "")


def _verdict(pair: Standing) -> str:
    words = [f"space {'holds' if pair.share <= _AIM_SHARE else 'does not hold'}"]
    if pair.speed:
        length = max(length for length, _ in pair.speed)
        one, many = (pair.speed[length, batch].median for batch in BATCHES)
        words.append(f"speed at batch 1 {'holds' if one >= _AIM_SPEED else 'does not hold'}")
        words.append(f"at 256 {'ahead' if many > 1 else 'behind'}")
    return ", ".join(words)


def _of_shared(found: Fig4) -> list[list[str]]:
    """What the gates buy."""
    wanted = level(found)
    shared, lmmoe = least(found, ["shared"], wanted), least(found, LMMOES, wanted)
    rows = []
    if shared and lmmoe:
        counts = [found.networks.parameters(each) for each in (lmmoe, shared)]
        rows.append(
            [
                "Fig. 4: what gates buy: the least LMMoE by the least shared LSTM at that level",
                f"{counts[0]} weights ({lmmoe.size}) and {counts[1]} ({shared.size})",
                "the gates pay" if counts[0] < counts[1] else "the gates do not pay",
            ]
        )
    by_units = {each.networks[0].units: each for each in of_family(found, ["shared"])}
    for each in of_family(found, ["by hand"]):
        other = by_units.get(each.networks[0].units)
        if other is None:
            continue
        one, two = medians(found, each), medians(found, other)
        gained = float(np.mean(one) - np.mean(two))
        rows.append(
            [
                f"Fig. 4: the same, experts of {each.networks[0].units} units: 2 with gates by 1",
                (
                    f"mean area {gained:+.4f}, worst {worst(one, two):+.4f}, "
                    f"{found.networks.parameters(each) / found.networks.parameters(other):.2f} × "
                    "the weights"
                ),
                "",
            ]
        )
    return rows


def _of_algorithm1(found: Fig4) -> list[list[str]]:
    rows = []
    complete = set(found.variants)
    for each in found.sized:
        tuned = each.variant
        if tuned is None or tuned not in complete or each.of not in complete:
            continue
        counts = [found.networks.parameters(one) for one in (tuned, each.of)]
        one, two = medians(found, tuned), medians(found, each.of)
        goal = each.found.goal
        measured = (
            f"{tuned.size}: {counts[0]} weights of {counts[1]}, {counts[0] / counts[1]:.0%}, "
            f"{len(each.found.asked)} trainings; worst area on tested flows {worst(one, two):+.4f}"
        )
        verdict = "not smaller"
        if counts[0] < counts[1]:
            verdict = "smaller, and as good" if is_within(one, two) else "smaller, but less good"
        rows.append(
            [
                f"Fig. 4: Algorithm 1 for the area of {each.of.size}, {goal.target:.4f}",
                measured,
                verdict,
            ]
        )
    return rows


def _of_kitsune(found: Fig4, lmmoe: Variant) -> list[list[str]]:
    mine = [each for each in found.kitsune if each.largest == unusual.LARGEST[1]]
    if not mine:
        return [["Fig. 4: against Kitsune × 3", NOT_RUN, ""]]
    areas = np.median([each.flows[LEFT_OUT] for each in mine], axis=0)
    theirs = medians(found, lmmoe)[: len(TASKS)]
    told = "areas left out " + ", ".join(
        f"{task} {area:.3f} against {other:.3f}"
        for task, area, other in zip(TASKS, areas, theirs, strict=True)
    )
    if found.costs is not None:
        of_packet = found.costs.timed.packets
        batch = max(BATCHES)
        both = np.add(of_packet["AfterImage"][batch], of_packet["KitNET"][batch])
        rows = found.costs.timed.rows[lmmoe.name]
        length = max(rows)
        row = np.divide(rows[length][batch], length)
        own = np.add(of_packet["flow table"][batch], row)
        times = ratio(both.tolist(), own.tolist())
        told += (
            f"; a packet costs {quartiles(both.tolist())} µs (statistics, three instances), one of "
            f"a full row {quartiles(own.tolist())} µs (flow table, network), {times}, at batch "
            f"{batch}"
        )
    return [["Fig. 4: against Kitsune × 3", told, "ahead" if (areas < theirs).all() else "mixed"]]
