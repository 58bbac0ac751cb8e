"""Plans drawn by chance: those of plain worlds, and of wide ones, which know everything that a workflow can do."""

from collections.abc import Callable, Sequence
from random import Random

from perdure.core.command import ParentClosePolicy
from perdure.testing.plans import (
    FOREVER_MS,
    Again,
    Apply,
    Beats,
    Call,
    Fail,
    Fan,
    Ghost,
    Later,
    Local,
    Mark,
    Op,
    Plan,
    Race,
    Receive,
    Side,
    Silence,
    Sleep,
    Spawn,
    Step,
    Tell,
    value_of,
)


class PlanMaker:
    """Draws plans; `shared_ids` are workflow ids that several children compete for."""

    parts_counts = (1, 1, 2, 3, 3, 4, 6)
    """How many parts a plan at the top has."""

    def __init__(self, random: Random, shared_ids: Sequence[str]) -> None:
        self._random = random
        self._shared_ids = shared_ids

    def plan(self, name: str, *, depth: int = 0) -> Plan:
        """A plan whose keys begin with `name`."""
        random = self._random
        count = random.choice(self.parts_counts if depth == 0 else (0, 1, 1, 2))
        makers: list[Callable[[str, int], Op]] = [
            *([self._step] * 6), *([self._fan] * 2), *([self._sleep] * 2), self._race, self._race, self._beats,
            self._side, self._odd, self._odd,
        ]  # fmt: skip
        if depth == 0:
            makers += [self._receive, self._receive, self._silence, self._ghost]
        if depth < 2:
            makers += [self._call, self._spawn]
        ops = tuple(random.choice(makers)(f"{name}.{index}", depth) for index in range(count))
        return Plan(ops, Step(f"{name}.x", random.randint(0, 50)) if random.random() < 0.6 else None)

    def _step(self, key: str, _depth: int = 0) -> Step:
        random = self._random
        ms = random.choice((0, 0, 1, 20, 300, random.randint(0, 4_000)))
        return Step(key, ms, failures=random.choice((0, 0, 0, 0, 1, 2)))

    def _odd(self, key: str, _depth: int) -> Step:
        random = self._random
        match random.randrange(4):
            case 0:
                return Step(key, 5, fatal=True)
            case 1:
                return Step(key, FOREVER_MS, attempts_max=random.choice((1, 2)), timeout_ms=random.randint(200, 2_000))
            case 2:
                return Step(key, 5, failures=9, attempts_max=random.choice((1, 2, 3)))
            case _:
                return Step(key, 5, wait_ms=random.randint(50, 2_000))

    def _fan(self, key: str, _depth: int) -> Fan:
        return Fan(tuple(self._step(f"{key}.{index}") for index in range(self._random.choice((2, 3, 5, 9)))))

    def _sleep(self, _key: str, _depth: int) -> Sleep:
        return Sleep(self._random.choice((1, 40, self._random.randint(1, 3_000), self._random.randint(1, 20_000))))

    def _race(self, key: str, _depth: int) -> Race:
        random = self._random
        ms = random.choice((10, 1_000, FOREVER_MS))
        return Race(Step(key, ms, failures=random.choice((0, 0, 1))), random.choice((5, 1_000, 4_000)))

    def _beats(self, key: str, _depth: int) -> Beats:
        count = self._random.randint(2, 8)
        return Beats(
            key, count, self._random.randint(50, 900), self._random.choice((0, 0, self._random.randint(1, count)))
        )

    def _silence(self, key: str, _depth: int) -> Silence:
        return Silence(key)

    def _receive(self, _key: str, _depth: int) -> Receive:
        return Receive(self._random.choice((1, 2, 5)))

    def _side(self, key: str, _depth: int) -> Side | Local | Tell:
        # Decided by the key: another draw would make other worlds of all seeds.
        number = value_of(key)
        match number % 3:
            case 0:
                return Side(key)
            case 1:
                return Local(
                    key, ms=(0, 1, 300, 4_000)[number // 3 % 4], failures=number // 12 % 3, count=1 + number % 2
                )
            case _:
                return Tell(key)

    def _ghost(self, key: str, _depth: int) -> Ghost:
        return Ghost(key)

    def _call(self, key: str, depth: int) -> Call:
        return Call(self.plan(key, depth=depth + 1))

    def _spawn(self, key: str, depth: int) -> Spawn:
        own = self._random.choice((None, *self._shared_ids))
        return Spawn(self.plan(key, depth=depth + 1), own, self._random.choice(list(ParentClosePolicy)).value)


class WidePlanMaker(PlanMaker):
    """Draws plans of which runs follow each other, and which wait for updates and for completions from outside."""

    parts_counts = (0, 1, 1, 2, 2, 3)

    def plan(self, name: str, *, depth: int = 0) -> Plan:
        """A plan whose keys begin with `name`."""
        random = self._random
        stages_count = random.choice((1, 1, 2, 2, 3) if depth == 0 else (1, 1, 1, 1, 2))
        # A run that fails forgets what it was told: only what waits for nobody is tried again.
        fails = depth == 0 and random.random() < 0.15
        stages: list[Plan] = []
        for index in range(stages_count):
            stage = super().plan(f"{name}.{index}", depth=depth)
            ops = [*stage.ops, *self._more(f"{name}.{index}.y", depth)]
            random.shuffle(ops)
            if fails:
                ops = [op for op in ops if not isinstance(op, Receive | Apply)]
            stages.append(Plan(tuple(ops), stage.clean_up))
        if fails:
            stages[0] = Plan((Fail(random.choice((1, 1, 2))), *stages[0].ops), stages[0].clean_up)
        plan = stages.pop()
        while stages:
            stage = stages.pop()
            plan = Plan((*stage.ops, Again(plan)), stage.clean_up)
        return plan

    def _more(self, key: str, depth: int) -> list[Op]:
        random = self._random
        makers: list[Callable[[str], Op]] = [self._later, self._mark, self._local]
        if depth == 0:
            makers += [self._apply, self._apply]
        return [random.choice(makers)(f"{key}{index}") for index in range(random.choice((0, 0, 1, 1, 2)))]

    def _later(self, key: str) -> Later:
        return Later(key)

    def _mark(self, _key: str) -> Mark:
        return Mark(self._random.choice(("Stage", "Cents")), self._random.randint(0, 9))

    def _apply(self, _key: str) -> Apply:
        return Apply(self._random.choice((1, 1, 2, 3)))

    def _local(self, key: str) -> Local:
        random = self._random
        return Local(key, random.choice((0, 1, 300)), failures=random.choice((0, 0, 1)), count=random.choice((1, 2)))
