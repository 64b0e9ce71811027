"""A run's specification expanded to its jobs: one of detector1 an exposure, one of stage 2 each of its products, one of
stage 3 an association's product.

Members are taken as they are named: a ``*_uncal`` goes through detector1 first, a ``*_rate`` begins at stage 2, a
``*_cal`` at stage 3.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping

from jwcal.core.errors import InvalidRequest
from jwcal.core.storage.ref import Location, ObjectRef
from jwcal.orchestrator.association import AssociationProduct, Member, ParsedAssociation, check_path, suffix_of
from jwcal.orchestrator.errors import InvalidExposure
from jwcal.orchestrator.model import WINDOWS, NewJob, Processing, RunSpec, Stage

# The official suffixes, by the stage that makes them.
_DETECTOR1 = frozenset({"rate", "rateints", "ramp", "dark", "trapsfilled", "fitopt", "jump"})
_STAGE2 = frozenset({"cal", "calints", "s2d", "bsub", "bsubints", "x1d", "x1dints", "s3d", "i2d"})
_STAGE3 = frozenset(
    {"i2d", "s2d", "s3d", "x1d", "c1d", "crf", "crfints", "cat", "segm", "whtlt", "x1dints", "phot"}
    | {"psfstack", "psfalign", "psfsub", "aminorm", "ami", "amiavg"}
)
_DEFAULT_BY_LEVEL = {2: "cal", 3: "i2d"}
_GUIDER = re.compile(r"_gs-[a-z0-9-]+_\d+")
_DETECTOR = re.compile(r"^jw\d{11}_[0-9a-z-]+_\d+_([a-z0-9]+)$|_([a-z0-9]+)$")
_MOST_EXPOSURES = 20_000


def expand(spec: RunSpec, association: ParsedAssociation | None, members: Location | None) -> tuple[NewJob, ...]:
    """The jobs of a run, parents before children.

    Raises
    ------
    InvalidRequest
        Where the products asked for cannot be made of the input, or there is nothing to do.
    """
    graph = _Graph(spec)
    if association is None:
        _expand_exposures(graph, spec)
    else:
        assert members is not None
        _expand_association(graph, association, members)
    if not graph.jobs:
        raise InvalidRequest("there is nothing to do: the input is already what is asked for")
    return tuple(graph.jobs)


class _Graph:
    """The jobs so far."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.jobs: list[NewJob] = []
        self._detector1: dict[tuple[str, str], int] = {}
        self._last_of_detector: dict[str, int] = {}
        self._ordered = _persistence_asked_for(spec.processing.get(Stage.DETECTOR1, Processing()))

    def add(
        self, stage: Stage, title: str, inputs: tuple[ObjectRef, ...], kinds: Collection[str], **links: tuple[int, ...]
    ) -> int:
        """Add a job; its place."""
        asked = self.spec.processing.get(stage, Processing())
        products = asked.products or tuple(kind for kind in self.spec.products if kind in kinds)
        processing = dataclasses.replace(asked, products=products, context=asked.context or self.spec.context)
        affinity = "/".join((stage.value, detector_of(title), asked.plan, processing.context))[:300]
        job = NewJob(stage=stage, title=title, inputs=inputs, processing=processing, affinity=affinity, **links)
        self.jobs.append(job)
        return len(self.jobs) - 1

    def calibrate(self, title: str, exposure: ObjectRef) -> int:
        """Add the detector1 job of an exposure, once; its place."""
        which = (exposure.bucket, exposure.key)
        if which not in self._detector1:
            detector = detector_of(title)
            after = self._last_of_detector.get(detector) if self._ordered else None
            kinds = _DETECTOR1 | ({"cal"} if is_guider(title) else set())
            place = self.add(Stage.DETECTOR1, title, (exposure,), kinds, after=() if after is None else (after,))
            if self._ordered:
                self.jobs[place] = _leaving_windows(self.jobs[place])
            self._detector1[which] = place
            self._last_of_detector[detector] = place
        return self._detector1[which]


def _expand_exposures(graph: _Graph, spec: RunSpec) -> None:
    if not spec.exposures:
        raise InvalidRequest("the run has no input")
    if len(spec.exposures) > _MOST_EXPOSURES:
        raise InvalidRequest("the run has too many exposures", limit=_MOST_EXPOSURES)
    kinds = set(spec.products) or {"rate"}
    seen: set[tuple[str, str]] = set()
    exposures = []
    for exposure in spec.exposures:
        which = (exposure.bucket, exposure.key)
        if which in seen:
            raise InvalidExposure(f"exposure {exposure.key} is named twice", key=exposure.key)
        seen.add(which)
        kind = exposure.kind or suffix_of(exposure.key)
        root = exposure.key.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        exposures.append((root.removesuffix(f"_{kind}"), kind, dataclasses.replace(exposure, kind=kind)))
    for root, kind, _ in exposures:
        if kind not in ("uncal", "rate", "rateints"):
            raise InvalidExposure(f"exposure {root} is neither uncal nor rate", kind=kind)
    _check_kinds(kinds, _DETECTOR1 | _STAGE2)
    for root, kind, exposure in sorted(exposures, key=lambda one: one[0]):
        of_detector1 = is_guider(root) or not kinds - _DETECTOR1
        place = graph.calibrate(root, exposure) if kind == "uncal" else None
        if of_detector1:
            continue
        parents = () if place is None else (place,)
        graph.add(Stage.STAGE2, root, () if parents else (exposure,), _STAGE2, parents=parents)


def _expand_association(graph: _Graph, association: ParsedAssociation, members: Location) -> None:
    last = _STAGE2 if association.level == 2 else _STAGE3
    asked = set(graph.spec.products) or {_DEFAULT_BY_LEVEL[association.level]}
    _check_kinds(asked, _DETECTOR1 | {"cal", "calints"} | last)
    to_end = bool(asked & last) and not (association.level == 3 and asked <= _DETECTOR1 | {"cal", "calints"})
    to_stage2 = to_end or bool(asked & {"cal", "calints"})
    every = {member.name: member for product in association.products for member in product.members}
    for name in sorted(every):  # by name is by time, within a visit
        if every[name].kind == "uncal":
            graph.calibrate(every[name].root, _reference(every[name], members))
    if association.level == 2 and to_stage2:
        for product in association.products:
            if all(is_guider(member.root) for member in product.members):
                continue
            inputs, parents = _gather(graph, product, members, {})
            graph.add(Stage.STAGE2, product.name, inputs, _STAGE2, parents=parents)
    elif to_stage2:
        calibrated = {
            name: _stage2_of(graph, member, members)
            for name, member in sorted(every.items())
            if member.kind in ("uncal", "rate", "rateints") and not is_guider(member.root)
        }
        if to_end:
            for product in association.products:
                inputs, parents = _gather(graph, product, members, calibrated)
                graph.add(Stage.STAGE3, product.name, inputs, _STAGE3, parents=parents)


def _stage2_of(graph: _Graph, member: Member, members: Location) -> int:
    reference = _reference(member, members)
    if member.kind == "uncal":
        return graph.add(Stage.STAGE2, member.root, (), _STAGE2, parents=(graph.calibrate(member.root, reference),))
    return graph.add(Stage.STAGE2, member.root, (reference,), _STAGE2)


def _gather(
    graph: _Graph, product: AssociationProduct, members: Location, calibrated: Mapping[str, int]
) -> tuple[tuple[ObjectRef, ...], tuple[int, ...]]:
    inputs, parents = [], []
    for member in product.members:
        if member.name in calibrated:
            parents.append(calibrated[member.name])
        elif member.kind == "uncal":
            parents.append(graph.calibrate(member.root, _reference(member, members)))
        else:
            inputs.append(_reference(member, members))
    return tuple(inputs), tuple(parents)


def _reference(member: Member, members: Location) -> ObjectRef:
    key = "/".join(filter(None, (members.prefix, member.name)))
    return ObjectRef(bucket=members.bucket, key=check_path(key, "a member's key"), kind=member.kind)


def _check_kinds(asked: set[str], possible: Collection[str]) -> None:
    if impossible := sorted(asked - set(possible)):
        raise InvalidRequest(
            f"{', '.join(kind[:50] for kind in impossible[:10])} cannot be made of this input",
            remedy=f"ask for some of {', '.join(sorted(possible))}",
        )


def is_guider(title: str) -> bool:
    """Whether an exposure is of the guider, whose calibrated product detector1 makes."""
    return _GUIDER.search(title) is not None


def detector_of(title: str) -> str:
    """The detector's name in an exposure's; empty where there is none."""
    found = _DETECTOR.search(title)
    return next(filter(None, found.groups()), "") if found else ""


def _leaving_windows(job: NewJob) -> NewJob:
    """A job that also makes the persistence windows that its exposure leaves open, for the next of the detector."""
    processing = job.processing
    persistence = dict(processing.parameters["persistence"]) | {"save_persistence": f"{job.title}_{WINDOWS}.asdf"}
    products = processing.products and tuple(dict.fromkeys((*processing.products, WINDOWS)))
    parameters = {**processing.parameters, "persistence": persistence}
    return dataclasses.replace(
        job, processing=dataclasses.replace(processing, parameters=parameters, products=products)
    )


def _persistence_asked_for(processing: Processing) -> bool:
    """Whether the persistence step runs: left out by default, and it needs the windows that earlier exposures left."""
    asked = processing.parameters.get("persistence")
    return "persistence" not in processing.skip and isinstance(asked, Mapping) and asked.get("skip") is False
