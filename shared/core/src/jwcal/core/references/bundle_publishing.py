"""The references of a bundle into the object store, where the reference service and its workers find them."""

from pathlib import Path

from jwcal.core.references.bundle import Bundle
from jwcal.core.references.publishing import Catalogue, Checksums


async def publish_bundle(bundle: Bundle, cache: Path, catalogue: Catalogue) -> tuple[str, ...]:
    """Publish what the store lacks of a bundle that was unpacked into `cache`; its names.

    Raises
    ------
    StorageError
        The store does not take it; what was published before stays.
    """
    published = []
    for file in bundle.files:
        path = cache / file.path
        if not file.path.startswith("references/") or await catalogue.find(path.name) is not None:
            continue
        await catalogue.publish(path.name, path, Checksums(file.sha1, file.sha256, file.size))
        published.append(path.name)
    return tuple(published)
