"""Files of this machine as inputs of a run: into the store under their checksum, once however often they are sent."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jwcal.api.pipeline.v1 import pipeline_pb2
from jwcal.api.product.v1.product_pb2 import Location as LocationMessage
from jwcal.core.errors import InvalidParameter, ObjectExists, ObjectNotFound, UnreadableFile
from jwcal.core.storage.contents import BLOCK
from jwcal.core.storage.convert import ref_to_proto
from jwcal.core.storage.port import BytesListener, ObjectStore
from jwcal.core.storage.ref import Location, ObjectRef, content_addressed

Source = str | Path | ObjectRef
"""A file of this machine, an address ``s3://bucket/key``, or an object."""
FOLDER = "inputs"
_INLINE_BYTES = 256 * 1024
"""Of an association: a larger one goes by the store, as requests have at most 1 MiB."""
_AT_ONCE = 4


class Uploading:
    """Turns what users name into what a run takes."""

    def __init__(self, store: ObjectStore | None, bucket: str, on_bytes: BytesListener | None = None) -> None:
        self._store = store
        self._place = Location(bucket, FOLDER)
        self._on_bytes = on_bytes
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def into(self, spec: pipeline_pb2.RunSpec, sources: Sequence[Source]) -> None:
        """Set the input of a run: one association, or exposures.

        Raises
        ------
        InvalidParameter
            No input, or an association among others.
        UnreadableFile
            A file is not there, or a member of the association.
        StorageError
            See the store.
        """
        if not sources:
            raise InvalidParameter("a run needs an association or exposures", remedy="name at least one file")
        associations = [source for source in sources if _name(source).endswith(".json")]
        if not associations:
            spec.exposures.files.extend(ref_to_proto(ref) for ref in await self._all(sources))
            return
        if len(sources) > 1:
            raise InvalidParameter("an association comes alone", remedy="submit each association by itself")
        await self._association(spec.association, associations[0])

    async def _all(self, sources: Sequence[Source]) -> list[ObjectRef]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(source)) for source in sources]
        return [task.result() for task in tasks]

    async def _one(self, source: Source) -> ObjectRef:
        if isinstance(source, ObjectRef):
            return source
        if str(source).startswith("s3://"):
            return ObjectRef.from_uri(str(source), kind=kind_of(str(source)))
        async with self._free:
            return await self._upload(Path(source))

    async def _upload(self, path: Path) -> ObjectRef:
        store = self._opened(path)
        to = content_addressed(self._place, await asyncio.to_thread(_sha256, path), path.name)
        try:
            found = await store.stat(to)
        except ObjectNotFound:
            try:
                found = await store.put_file(path, to, if_absent=True, on_bytes=self._on_bytes)
            except ObjectExists:  # another one sent the same contents meanwhile
                found = await store.stat(to)
        return ObjectRef(
            found.bucket,
            found.key,
            version=found.version,
            sha256=found.sha256,
            size=found.size,
            kind=kind_of(path.name),
        )

    async def _association(self, message: pipeline_pb2.Association, source: Source) -> None:
        if isinstance(source, ObjectRef) or str(source).startswith("s3://"):
            message.object.CopyFrom(ref_to_proto(await self._one(source)))
            return
        path = Path(source)
        content = _read_association(path)
        members = [member for product in content["products"] for member in product["members"]]
        names = sorted({member["expname"] for member in members})
        stored = dict(zip(names, await self._all([path.parent / name for name in names]), strict=True))
        for member in members:  # its members are found by their contents from now on
            member["expname"] = stored[member["expname"]].key.removeprefix(self._place.folder)
        text = json.dumps(content)
        message.members.CopyFrom(LocationMessage(bucket=self._place.bucket, prefix=self._place.prefix))
        if len(text.encode()) <= _INLINE_BYTES:
            message.json = text
            return
        data = text.encode()
        to = content_addressed(self._place, hashlib.sha256(data).hexdigest(), path.name)
        message.object.CopyFrom(ref_to_proto(await self._opened(path).put_bytes(data, to)))

    def _opened(self, path: Path) -> ObjectStore:
        if self._store is None:
            raise InvalidParameter(
                f"{path} cannot be uploaded: no object store is known",
                remedy="set JWCAL_STORE_KIND and what belongs to it, or name objects as s3://bucket/key",
            )
        return self._store


def kind_of(name: str) -> str:
    """What a file is by its name: ``uncal``, ``rate``; empty where it does not tell."""
    return name.rpartition("/")[2].rpartition(".")[0].rpartition("_")[2]


def _name(source: Source) -> str:
    return source.key if isinstance(source, ObjectRef) else str(source)


def _read_association(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for product in content["products"]:
            for member in product["members"]:
                if not isinstance(member["expname"], str):
                    raise TypeError("a member's expname is no text")
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}", file=path) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableFile(
            f"is no association ({type(error).__name__}: {error})", file=path, remedy="give one of the official form"
        ) from error
    return content  # type: ignore[no-any-return]  # its parts are checked above


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}", file=path, remedy="check the path") from error
    return digest.hexdigest()
