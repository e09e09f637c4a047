"""Plays inputs through engines, on all cores: one process per input, and more where there are several variants.

A variant is a program: the rules with other params, or with another recovery condition. All variants of a job share
the reading and normalizing of their input; each has its own engine. Every input begins with engines that know nothing.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, NamedTuple

from bridge.assemble import Assembly
from bridge.clock import SteadyClock
from bridge.commands.arguments import compiled_for
from bridge.commands.backtest_advice import Advice, with_clear, with_keep
from bridge.commands.backtest_feeds import Feed, Input, feed_of
from bridge.commands.backtest_watch import Tally, Watch
from bridge.core.rules import Program
from bridge.errors import ConfigError
from bridge.facts import Facts
from bridge.files.settings import Settings, Site
from bridge.model import Read, Sample
from bridge.playback import clocks_before, local_of
from bridge.site import SiteParts


class Span(NamedTuple):
    """What is counted (Unix seconds), and how soon after its end a firing is a flap."""

    begin: float
    end: float
    flap_s: float


class Bench(NamedTuple):
    """What a process plays with."""

    assembly: Assembly
    parts: SiteParts


class Rules(NamedTuple):
    """The rules of a run: a site with its params, and how some alerts are changed."""

    site: Site
    keep: Mapping[str, Advice] = {}
    clear: Mapping[str, Advice] = {}

    def program(self, assembly: Assembly, told: Mapping[str, Any] = {}) -> Program:
        """Return the program; `told` is what the GX said of the site's profile."""
        return with_clear(with_keep(assembly.program(self.site, told), self.keep), self.clear)


class Job(NamedTuple):
    """An input and the variants that it is played to."""

    input: Input
    variants: tuple[tuple[int, Rules], ...]  # with their numbers
    span: Span


class Outcome(NamedTuple):
    """What one variant did with one input."""

    variant: int
    input: Input
    events: Counter[tuple[str, str]]
    tallies: tuple[Tally, ...]
    began_at: float  # inf: it held nothing of the span
    ended_at: float
    note: str
    fault: str  # why it could not be read to its end; what came before is not counted


class Lane:
    """One engine and its books; made anew, as in `run`, when the GX tells another profile of the site."""

    def __init__(self, name: str, rules: Rules, bench: Bench, span: Span) -> None:
        self._facts = Facts(
            rules.program(bench.assembly), partial(rules.program, bench.assembly), bench.parts.maintenance
        )
        self._engine = self._facts.engine(name)
        self._local = local_of(bench.parts)
        self._now = -math.inf
        self.watch = Watch(self._engine, span.begin, span.flap_s)

    def step(self, now: float, feed: Feed, samples: Sequence[Sample], reads: Sequence[Read]) -> None:
        """Let the clocks before `now` run out, each at its time, then take what came in."""
        self.run_to(now)
        self._follow(now)
        self._step(now, samples, reads)
        self.watch.presence(now, feed.is_online, feed.online)

    def run_to(self, now: float) -> None:
        if self._now > -math.inf:
            for clock in clocks_before(now, self._now, lambda: self._engine.next_clock(), self._follow):
                self._step(clock, (), ())
        self._now = now

    def _follow(self, at: float) -> bool:
        """Set the clocks of the site's time zones; tell whether they moved."""
        offsets = self._local.moved(at)
        if offsets is not None:
            self._engine.set_wall_offset(0.0, *offsets)
        return offsets is not None

    def _step(self, now: float, samples: Sequence[Sample], reads: Sequence[Read]) -> None:
        self.watch.look(now, self._engine.step(now, samples, reads))
        self._facts.take(self._engine.take_records(), now)
        renewed = self._facts.renewed(self._engine, now)
        if renewed is not None:
            self._engine = renewed
            self.watch.follow(renewed)
            self.watch.look(now, renewed.step(now, ()))  # what the new facts change, they change now


def play(job: Job, bench: Bench) -> list[Outcome]:
    """Play one input to all variants of a job; damage is told in the outcome."""
    span = job.span
    lanes: list[Lane] = []
    began_at, now, note, fault = math.inf, -math.inf, "", ""
    try:
        with feed_of(job.input, bench.parts) as (name, feed):
            lanes = [Lane(name, rules, bench, span) for _, rules in job.variants]
            while (due := feed.next_due()) < math.inf:
                if due >= span.end:
                    now = span.end
                    break
                now = due
                began_at = min(began_at, max(due, span.begin))
                samples, reads = feed.read(due)
                for lane in lanes:
                    lane.step(due, feed, samples, reads)
            note = feed.note()
    except ConfigError as error:
        fault = str(error)
    if fault or began_at > now:
        return [Outcome(number, job.input, Counter(), (), math.inf, now, note, fault) for number, _ in job.variants]
    outcomes = []
    for (number, _), lane in zip(job.variants, lanes):
        lane.run_to(now)
        tallies = tuple(lane.watch.tallies(now))
        outcomes.append(Outcome(number, job.input, lane.watch.events, tallies, began_at, now, note, ""))
    return outcomes


def jobs_of(inputs: Sequence[Input], rules: Sequence[tuple[int, Rules]], span: Span, cores: int) -> list[Job]:
    """Return the work, in so many parts that all cores have something to do."""
    parts = max(1, min(len(rules), -(-cores // max(1, len(inputs)))))
    return [Job(one, tuple(rules[start::parts]), span) for one in inputs for start in range(parts)]


class Runner:
    """Runs jobs in this process or in several, which stay for the next jobs. To be used in a `with`."""

    def __init__(self, settings: Settings, site: Site, cores: int) -> None:
        self.cores = cores
        self.used = 1  # of them
        self._settings, self._site = settings, site
        self._bench: Bench | None = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        if kind is not None:  # Ctrl-C above all: nobody waits for what the workers are at
            self._pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
        self._pool.shutdown()

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Yield all outcomes as they come in.

        Raises:
            ConfigError: a process ended, for want of memory perhaps.
        """
        if self._pool is None and min(self.cores, len(jobs)) <= 1:
            if self._bench is None:
                self._bench = _bench(self._settings, self._site)
            for job in jobs:
                yield from play(job, self._bench)
            return
        if self._pool is None:
            # A fresh interpreter each: a fork of a process that has threads may hang.
            context = multiprocessing.get_context("spawn")
            self.used = min(self.cores, len(jobs))
            self._pool = ProcessPoolExecutor(self.used, context, _begin, (self._settings, self._site))
        # The first submission begins the workers; one that is interrupted half begun would complain.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            futures = [self._pool.submit(_work, job) for job in jobs]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            for future in as_completed(futures):
                yield from future.result()
        except BrokenProcessPool:
            raise ConfigError("a process of the backtest was ended, perhaps for want of memory; try --jobs 1") from None


_BENCHES: list[Bench] = []  # of this worker process


def _begin(settings: Settings, site: Site) -> None:
    """Prepare a worker: Ctrl-C ends it at once and without a word, its parent tells."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _BENCHES.append(_bench(settings, site))


def _work(job: Job) -> list[Outcome]:
    return play(job, _BENCHES[0])


def _bench(settings: Settings, site: Site) -> Bench:
    assembly = Assembly(settings, compiled_for([site]), SteadyClock())
    return Bench(assembly, assembly.site(site))


def cores_here() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not everywhere
        return os.cpu_count() or 1
