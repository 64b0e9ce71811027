"""Read exposures (uncal, ramp and guider files) into products.

Headers and tables go through stdatamodels on a skeleton of the file (same HDUs, no pixels); the pixels are read
straight into their final place, integration by integration, so nothing is held twice.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from jwcal.core.data import GuiderRamp, Ramp
from jwcal.core.errors import InvalidData, InvalidKeyword, UnreadableFile
from jwcal.core.metadata import Metadata
from jwcal.core.scratch import Scratch
from jwcal.core.stripes import superstripe_positions

GUIDER_TYPES = ("FGS_ID-STACK", "FGS_ID-IMAGE", "FGS_ACQ1", "FGS_ACQ2", "FGS_TRACK", "FGS_FINEGUIDE")
_CHUNK = 1 << 20
"""Pixels read at a time."""
_PIXEL_HDUS = ("SCI", "PIXELDQ", "GROUPDQ", "ERR", "ZEROFRAME", "REFOUT", "DQ", "AVDRKCUR")


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where an image HDU's pixels lie in the file."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bscale: float
    bzero: float


@dataclass(slots=True)
class ExposureFile:
    """An opened exposure: everything but its pixels."""

    path: Path
    metadata: Metadata
    tables: dict[str, Any]
    extra: Any
    planes: dict[str, _Plane]

    @property
    def is_guider(self) -> bool:
        """Whether this is a guide-star exposure."""
        return self.metadata.exposure_type in GUIDER_TYPES

    def read(self, scratch: Scratch) -> Ramp | GuiderRamp:
        """The exposure with its pixels."""
        return self._guider() if self.is_guider else self._ramp(scratch)

    def _ramp(self, scratch: Scratch) -> Ramp:
        shape = self.planes["SCI"].shape
        if len(shape) != 4 or min(shape) == 0:
            raise InvalidData(
                f"SCI has shape {shape}",
                file=self.path,
                keyword="NAXIS",
                remedy="give an exposure of shape (integrations, groups, rows, columns)",
            )
        self._check_shape(shape)
        superstripes = self._superstripes(shape[0])
        copies = 2 if superstripes else 1  # superstripes are put together into arrays of their own
        spill = scratch.must_spill(copies * _working_bytes(shape))
        data = scratch.zeros(shape, np.float32, spill=spill)
        groupdq = scratch.zeros(shape, np.uint8, spill=spill)
        self._fill("SCI", data)
        if "GROUPDQ" in self.planes:
            self._expect("GROUPDQ", shape)
            self._fill("GROUPDQ", groupdq)
        pixeldq = np.zeros((superstripes, *shape[-2:]) if superstripes else shape[-2:], np.uint32)
        if "PIXELDQ" in self.planes:
            pixeldq = np.zeros(self.planes["PIXELDQ"].shape, np.uint32)
            self._fill("PIXELDQ", pixeldq)
        zeroframe = None
        if "ZEROFRAME" in self.planes and self.metadata.get("exposure.zero_frame", False):
            self._expect("ZEROFRAME", (shape[0], *shape[2:]))
            zeroframe = scratch.zeros((shape[0], *shape[2:]), np.float32, spill=spill)
            self._fill("ZEROFRAME", zeroframe)
        refout = None
        if "REFOUT" in self.planes:
            refout = scratch.zeros(self.planes["REFOUT"].shape, np.float32, spill=spill)
            self._fill("REFOUT", refout)
        average_dark_current = None
        if "AVDRKCUR" in self.planes:
            average_dark_current = np.zeros(self.planes["AVDRKCUR"].shape, np.float32)
            self._fill("AVDRKCUR", average_dark_current)
        return Ramp(
            data=data,
            groupdq=groupdq,
            pixeldq=pixeldq,
            zeroframe=zeroframe,
            refout=refout,
            average_dark_current=average_dark_current,
            read_times=_read_times(self.metadata),
            metadata=self.metadata,
            tables=self.tables,
            extra=self.extra,
            scratch=scratch if spill else None,
        )

    def _superstripes(self, nints: int) -> int:
        """Superstripe positions of an integration, 0 for other readouts; refuses a part of an integration."""
        count = superstripe_positions(self.metadata)
        if count and nints % count:
            raise InvalidData(
                f"{nints} integrations are not whole sets of {count} superstripes",
                file=self.path,
                keyword="SSTR_NST",
                remedy="correct SSTR_NST or fetch the file again",
            )
        return count

    def _guider(self) -> GuiderRamp:
        shape = self.planes["SCI"].shape
        if len(shape) != 4 or min(shape) == 0:
            raise InvalidData(
                f"SCI has shape {shape}",
                file=self.path,
                keyword="NAXIS",
                remedy="give a guide-star exposure of shape (integrations, groups, rows, columns)",
            )
        data = np.zeros(shape, np.float32)
        self._fill("SCI", data)
        dq = np.zeros(shape[-2:], np.uint32)
        if "DQ" in self.planes and self.planes["DQ"].shape == dq.shape:
            self._fill("DQ", dq)
        return GuiderRamp(data=data, dq=dq, metadata=self.metadata, tables=self.tables, extra=self.extra)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse a wrong NGROUPS.  The size of the frame is that of the data, whatever SUBSIZE1 and SUBSIZE2 say."""
        declared = self.metadata.require_number("exposure.ngroups")
        if declared != shape[1]:
            raise InvalidKeyword(
                f"NGROUPS is {declared:g} and the data have {shape[1]}",
                file=self.path,
                keyword="NGROUPS",
                remedy="correct NGROUPS or fetch the file again",
            )

    def _expect(self, name: str, shape: tuple[int, ...]) -> None:
        if self.planes[name].shape != shape:
            raise InvalidData(f"{name} has shape {self.planes[name].shape}, expected {shape}", file=self.path)

    def _fill(self, name: str, out: NDArray[Any]) -> None:
        """Read an HDU's pixels into `out`, chunk by chunk."""
        plane = self.planes[name]
        flat = out.reshape(-1)
        with self.path.open("rb") as file:
            file.seek(plane.offset)
            for start in range(0, flat.size, _CHUNK):
                row = flat[start : start + _CHUNK]
                raw = np.fromfile(file, plane.dtype, row.size)
                if raw.size != row.size:
                    raise UnreadableFile("the file is truncated", file=self.path, remedy="fetch it again")
                if out.dtype.kind == "f":
                    row[:] = raw
                    if plane.bscale != 1:
                        row *= plane.bscale
                    if plane.bzero:
                        row += np.float32(plane.bzero)
                elif plane.bzero:
                    row[:] = (raw.astype(np.int64) + int(plane.bzero)).astype(out.dtype)
                else:
                    row[:] = raw


def _working_bytes(shape: tuple[int, ...]) -> int:
    """Bytes of a ramp with its flags, and of the rates of its integrations."""
    nints, ngroups, ny, nx = shape
    return nints * ny * nx * (5 * ngroups + 24)


def open_exposure(path: Path) -> ExposureFile:
    """Open an exposure's headers and tables.

    Raises
    ------
    UnreadableFile
        The file is absent, not FITS, or shorter than its headers say.
    MissingKeyword, InvalidKeyword
        A keyword that every exposure needs is absent or wrong.
    """
    import asdf
    from stdatamodels.jwst import datamodels

    try:
        with warnings.catch_warnings(), asdf.config_context() as config:
            warnings.simplefilter("ignore")
            config.validate_on_read = False  # what counts is checked below, keyword by keyword
            with fits.open(path, memmap=True, do_not_scale_image_data=True) as hdus:
                planes = _planes(path, hdus)
                skeleton = _skeleton(hdus)
                history = [str(card) for card in hdus[0].header.get("HISTORY", ())]
                kind = str(hdus[0].header.get("EXP_TYPE", "")).upper()
                model_class = datamodels.RampModel
                if kind in GUIDER_TYPES:
                    model_class = datamodels.GuiderRawModel
                elif hdus[0].header.get("SSTR_NST", 0) not in (0, None):
                    model_class = datamodels.SuperstripeRampModel
                with model_class(skeleton) as model:
                    tree = plain(model._instance["meta"])
                    extra = _without_structure(model._instance.get("extra_fits"))
                    tables = {
                        name: np.array(value)
                        for name, value in model._instance.items()
                        if getattr(getattr(value, "dtype", None), "names", None) is not None
                    }
    except FileNotFoundError:
        raise UnreadableFile("there is no such file", file=path, remedy="check the path") from None
    except IsADirectoryError:
        raise UnreadableFile("this is a directory", file=path, remedy="name a FITS file") from None
    except PermissionError:
        raise UnreadableFile("no permission to read it", file=path, remedy="change its permissions") from None
    except (OSError, EOFError, KeyError, fits.VerifyError) as error:  # KeyError: an extension that others refer to
        raise UnreadableFile(
            f"this is not a readable FITS file ({error})", file=path, remedy="fetch it again"
        ) from error
    metadata = Metadata(tree, source=str(path), history=history)
    _check_keywords(metadata)
    return ExposureFile(path, metadata, tables, extra, planes)


def _without_structure(extra: Any) -> Any:
    """Unknown HDUs and keywords without NEXTEND, which counts the extensions of the input file."""
    cards = extra["PRIMARY"].get("header", []) if extra and "PRIMARY" in extra else []
    cards[:] = [card for card in cards if card[0] != "NEXTEND"]
    return extra


def _read_times(metadata: Metadata) -> NDArray[np.float64] | None:
    """Times of the reads of each group, where the exposure is not sampled evenly."""
    times = metadata.get("exposure.read_times")
    return np.array(times, np.float64) if times else None


def read_plane(path: str | Path) -> NDArray[Any]:
    """The SCI image of a FITS file (else the first HDU with pixels), as it is stored.

    Raises
    ------
    UnreadableFile
        The file is absent, not FITS, or holds no image.
    """
    try:
        with fits.open(path) as hdus:
            found = [hdu for hdu in hdus if hdu.data is not None and (hdu.name == "SCI" or "SCI" not in hdus)]
            if not found:
                raise UnreadableFile("there is no image in it", file=path, remedy="give a FITS image")
            return np.array(found[0].data)
    except OSError as error:
        raise UnreadableFile(f"cannot be read as FITS ({error})", file=path, remedy="give a FITS image") from error


def _planes(path: Path, hdus: Any) -> dict[str, _Plane]:
    size = path.stat().st_size
    planes: dict[str, _Plane] = {}
    for hdu in hdus:
        info = hdu.fileinfo()
        end = info["datLoc"] + info["datSpan"]
        if end > size:
            raise UnreadableFile(
                f"the file is truncated: {hdu.name or 'PRIMARY'} should end at byte {end}, the file has {size}",
                file=path,
                remedy="fetch it again",
            )
        if hdu.name in _PIXEL_HDUS and hdu.header["NAXIS"] > 0:
            shape = tuple(hdu.header[f"NAXIS{axis}"] for axis in range(hdu.header["NAXIS"], 0, -1))
            dtype = np.dtype({8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}[hdu.header["BITPIX"]])
            planes[hdu.name] = _Plane(
                info["datLoc"], shape, dtype, float(hdu.header.get("BSCALE", 1)), float(hdu.header.get("BZERO", 0))
            )
    if "SCI" not in planes:
        raise UnreadableFile("there is no SCI extension with pixels", file=path, remedy="give an _uncal or _ramp file")
    shape = planes["SCI"].shape
    if len(shape) != 4:
        raise InvalidData(
            f"SCI has shape {shape}",
            file=path,
            keyword="NAXIS",
            remedy="give an exposure of shape (integrations, groups, rows, columns)",
        )
    return planes


def _skeleton(hdus: Any) -> Any:
    """The same HDUs without the pixels of the large ones."""
    small = fits.HDUList()
    for hdu in hdus:
        if hdu.name in _PIXEL_HDUS and hdu.header["NAXIS"] > 0:
            header = hdu.header.copy(strip=True)
            for keyword in ("BZERO", "BSCALE"):
                header.remove(keyword, ignore_missing=True)
            small.append(fits.ImageHDU(header=header, name=hdu.name))
        elif isinstance(hdu, fits.PrimaryHDU):
            small.append(fits.PrimaryHDU(header=hdu.header))
        else:
            small.append(hdu)
    return small


def _check_keywords(metadata: Metadata) -> None:
    if metadata.get("telescope", "JWST") != "JWST":
        raise InvalidKeyword(
            f"TELESCOP is {metadata.get('telescope')!r}",
            file=metadata.source,
            keyword="TELESCOP",
            remedy="give an exposure of JWST",
        )
    known = ("NIRCAM", "NIRISS", "NIRSPEC", "MIRI", "FGS")
    if metadata.instrument not in known:
        raise InvalidKeyword(
            f"INSTRUME is {metadata.instrument!r}",
            file=metadata.source,
            keyword="INSTRUME",
            remedy=f"set it to one of {', '.join(known)}",
        )
    for path in (
        "instrument.detector",
        "exposure.type",
        "subarray.xstart",
        "subarray.ystart",
        "observation.date",
        "observation.time",
    ):
        metadata.require(path)
    if metadata.exposure_type not in GUIDER_TYPES:
        for path in ("exposure.nframes", "exposure.group_time", "exposure.frame_time"):
            metadata.require_number(path, positive=True)
        metadata.require("exposure.readpatt")


def plain(node: Any) -> Any:
    """Plain dictionaries, lists and scalars of an asdf tree."""
    if hasattr(node, "items"):
        return {str(name): plain(value) for name, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    return node
