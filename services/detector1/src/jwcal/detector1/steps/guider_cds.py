"""Count rates of guide-star exposures."""

import numpy as np

from jwcal.core.array_types import Float32
from jwcal.core.data import GuiderCube, GuiderRamp
from jwcal.core.errors import InvalidData
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import GainReference, ReadnoiseReference
from jwcal.core.step import Skip, StepParameters, step


class GuiderCdsParameters(StepParameters):
    """guider_cds has no parameters of its own."""


@step(
    "guider_cds",
    params=GuiderCdsParameters,
    references=(GainReference, ReadnoiseReference),
    official="jwst.guider_cds.GuiderCdsStep",
)
def difference_guider_groups(product: GuiderRamp, params: GuiderCdsParameters, refs: ReferenceSet) -> GuiderCube:
    """Rates (DN/s) of guide-star images from differences of groups.

    Identification images (FGS_ID-IMAGE, FGS_ID-STACK): the smaller of the differences of the two integrations, which
    removes cosmic rays; one image.  Acquisition and track: second group less first, for each integration.  Fine guide:
    mean of the last four groups less that of the first four.  All are divided by the group time.

    Stacks of strips that the references do not cover take their mean.

    Errors combine read noise ``2 (RN / t)^2`` and Poisson noise ``difference / (gain t)``, negative ones counting as 0.
    """
    del params
    gain_reference, noise_reference = refs.get(GainReference), refs.get(ReadnoiseReference)
    if gain_reference is None or noise_reference is None:
        raise Skip("no gain or readnoise reference")
    gain, noise = gain_reference.data, noise_reference.data
    kind = product.metadata.exposure_type
    seconds = product.metadata.require_number("exposure.group_time", positive=True)
    difference = _differences(product, kind)
    read_variance = np.broadcast_to((2 * (noise / seconds) ** 2).astype(np.float32), difference.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        poisson_variance = (difference / (gain * seconds)).astype(np.float32)
    poisson_variance[poisson_variance < 0] = 0.0
    product.metadata.set("bunit_data", "DN/s")
    return GuiderCube(
        data=(difference / seconds).astype(np.float32),
        err=np.sqrt(read_variance + poisson_variance),
        dq=product.dq,
        metadata=product.metadata,
        tables=product.tables,
        extra=product.extra,
        side_products=product.side_products,
    )


def _differences(product: GuiderRamp, kind: str) -> Float32:
    """Signal in DN, one plane per image."""
    data = product.data
    needed_ints, needed_groups = (2, 2) if kind.startswith("FGS_ID") else (1, 8 if kind == "FGS_FINEGUIDE" else 2)
    if data.shape[0] < needed_ints or data.shape[1] < needed_groups:
        raise InvalidData(
            f"{kind} needs {needed_ints} integrations of {needed_groups} groups, there are {data.shape[:2]}",
            file=product.metadata.source,
            keyword="NGROUPS",
            remedy="fetch the exposure again",
        )
    if kind == "FGS_FINEGUIDE":
        last: Float32 = data[:, -4:].mean(axis=1)
        last -= data[:, :4].mean(axis=1)
        return last
    steps: Float32 = data[:, 1] - data[:, 0]
    if kind.startswith("FGS_ID"):
        steps = np.minimum(steps[1], steps[0])[None]
    return steps
