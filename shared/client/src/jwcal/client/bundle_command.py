"""``jwcal refs bundle``, ``load``, ``verify``: references for machines without a CRDS server."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from jwcal.client import exit_codes
from jwcal.client.output import print_json, print_table
from jwcal.core.errors import ConfigurationError, InvalidParameter
from jwcal.core.references.bundle import Bundle


def make_bundle(output: Path, *, context: str | None, instrument: str, exposures: Sequence[Path], as_json: bool) -> int:
    """Write all that an instrument, or some exposures of it, need of a context."""
    from jwcal.core.products.read import open_exposure
    from jwcal.core.references.best import default_context, selection_header
    from jwcal.core.references.bundle_writing import chosen_files, write_bundle

    in_context = context or default_context()
    headers = [selection_header(open_exposure(path).metadata) for path in exposures]
    for path, header in zip(exposures, headers, strict=True):
        found = header.get("meta.instrument.name", "")
        if found.upper() != instrument.upper():
            raise InvalidParameter(
                f"{path} is of {found}, not of {instrument}", remedy="make a bundle for each instrument"
            )
    bundle = write_bundle(output, in_context, instrument, chosen_files(in_context, instrument, headers))
    _tell(output, bundle, (), as_json=as_json)
    return exit_codes.DONE


def load(source: Path, *, into: Path | None, store: str | None, as_json: bool) -> int:
    """Unpack a bundle into a CRDS cache, publish its references to an object store, or both."""
    from jwcal.core.references.bundle import load_bundle

    if store is not None:
        with TemporaryDirectory(prefix="jwcal-bundle-") as unpacked:
            cache = into or Path(unpacked)
            bundle = load_bundle(source, cache)
            _publish(bundle, cache, store)
        _tell(source, bundle, (), as_json=as_json)
        return exit_codes.DONE
    cache = into or Path(os.environ.get("CRDS_PATH", ""))
    if cache == Path():
        raise InvalidParameter("there is no cache to load into", remedy="give --into DIR or set CRDS_PATH")
    _tell(source, load_bundle(source, cache), (), as_json=as_json)
    return exit_codes.DONE


def _publish(bundle: Bundle, cache: Path, store: str) -> None:
    """Put the references of an unpacked bundle under an ``s3://bucket/prefix`` of the store of the environment."""
    from pydantic import ValidationError

    from jwcal.core.references.bundle_publishing import publish_bundle
    from jwcal.core.references.publishing import Catalogue
    from jwcal.core.storage.opening import StoreSettings, opened_store
    from jwcal.core.storage.ref import Location

    place = Location.from_uri(store)
    try:
        settings = StoreSettings()
    except ValidationError as error:
        wrong = "; ".join(each["msg"] for each in error.errors(include_input=False))
        raise ConfigurationError(
            f"the environment tells of no store: {wrong}", remedy="set JWCAL_STORE_KIND and what it needs"
        ) from None

    async def publish() -> None:
        async with opened_store(settings) as objects:
            await publish_bundle(bundle, cache, Catalogue(objects, place, clock=time.monotonic))

    asyncio.run(publish())


def verify(source: Path, *, as_json: bool) -> int:
    """Check every file of a bundle or of a CRDS cache."""
    from jwcal.core.references.bundle import verify_bundle
    from jwcal.core.references.verification import verify_cache

    if source.is_file() or not source.exists():
        bundle, wrong = verify_bundle(source)
        _tell(source, bundle, wrong, as_json=as_json)
        return exit_codes.FAILED if wrong else exit_codes.DONE
    report = verify_cache(source)
    if as_json:
        print_json({"cache": str(source), "good": report.good, "damaged": report.damaged, "unstated": report.unstated})
    else:
        print(
            f"{source}: {len(report.good)} good, {len(report.damaged)} damaged, "
            f"{len(report.unstated)} whose checksum is not stated"
        )
        rows = [(name, "damaged") for name in report.damaged] + [(name, "not stated") for name in report.unstated]
        if rows:
            print_table("", ("file", "checksum"), rows)
    return exit_codes.FAILED if report.damaged else exit_codes.DONE


def _tell(path: Path, bundle: Bundle, wrong: Sequence[str], *, as_json: bool) -> None:
    references = [Path(file.path).name for file in bundle.files if file.path.startswith("references/")]
    if as_json:
        print_json(
            {
                "bundle": str(path),
                "context": bundle.context,
                "instrument": bundle.instrument,
                "bytes": bundle.size,
                "references": references,
                "damaged": wrong,
            }
        )
        return
    size = f"{bundle.size / (1 << 20):.1f} MiB"
    print(f"{path}: {bundle.context}, {bundle.instrument}, {len(references)} references, {size}")
    for name in wrong:
        print(f"damaged: {name}")
