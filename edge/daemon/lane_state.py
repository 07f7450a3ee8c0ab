"""A lane's state as bytes: the shelf memory, and what its events and embeddings belong to."""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import asdict, dataclass, replace

import numpy as np

from edge.daemon.runtime import Runtime
from edge.errors import ConfigError
from edge.shelf.clearance import answers_of
from edge.shelf.slot import Answer, Votes
from edge.shelf.slot_settings import SlotSettings
from edge.shelf.slots import ShelfMemory
from edge.types import Embeddings

log = logging.getLogger("edge.daemon")


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the shelf memory: the line of event ids, the tower that embedded it, and
    the scale that was chosen for this camera (None while it is not)."""

    lineage: str
    tower: str
    scale: str | None = None


def pack(head: Head, memory: ShelfMemory) -> bytes:
    """One line of JSON, then what the shelf memory gave."""
    return json.dumps(asdict(head)).encode() + b"\n" + memory.state()


def unpack(
    state: bytes | None, camera: str, settings: SlotSettings, tower: str
) -> tuple[Head, ShelfMemory]:
    """The head and the shelf memory; both new where there is no good state.

    Event numbers begin again with a new memory, so their ids must belong to another line. What
    another tower embedded is embedded again.
    """
    new = Head(secrets.token_hex(8), tower)
    if state is None:
        return new, ShelfMemory(camera, settings)
    try:
        first, _, body = state.partition(b"\n")
        head = Head(**json.loads(first))
        memory = ShelfMemory.restore(camera, body, settings)
    except (ConfigError, ValueError, KeyError, TypeError) as error:
        log.error("slot state given up", extra={"camera": camera, "problem": error})
        return new, ShelfMemory(camera, settings)
    if head.tower != tower:
        forget_embeddings(memory)
    return replace(head, tower=tower), memory


def match_again(memory: ShelfMemory, runtime: Runtime) -> None:
    """Ask another gallery about what was embedded before: nothing has to be embedded for that."""
    tower = runtime.models.embedder.tower
    slots = [s for s in memory.book if s.votes.total is not None and s.pending is None]
    if not slots:
        return
    vectors = np.stack([slot.votes.mean() for slot in slots])
    matches = runtime.match(Embeddings(vectors, tower))
    if matches is None or runtime.matcher is None:
        answers = [Answer()] * len(slots)
    else:
        answers = answers_of(matches, runtime.matcher.operating_point)
    for slot, answer in zip(slots, answers, strict=True):
        slot.answer = answer


def forget_embeddings(memory: ShelfMemory) -> None:
    """Let every facing be embedded again; what it is taken for stays until then."""
    for slot in memory.book:
        slot.votes = Votes()
        slot.embedded_at = float("-inf")
        slot.pending = None
