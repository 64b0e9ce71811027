"""``jwcal refs bestrefs``: which references an exposure gets."""

from pathlib import Path

from jwcal.client import exit_codes
from jwcal.client.output import print_json, print_table


def best_references(file: Path, *, context: str | None, plan: str | None, as_json: bool) -> int:
    """Print the reference of each type that the exposure's plan asks for."""
    from jwcal.core.products.read import open_exposure
    from jwcal.core.references.best import default_context, recommendations
    from jwcal.detector1.plans import PLANS
    from jwcal.detector1.process import plan_name
    from jwcal.detector1.settings import definitions

    exposure = open_exposure(file)
    chosen = plan_name(plan, exposure)
    in_context = context or default_context()
    known = definitions()
    steps: dict[str, list[str]] = {}
    for name in PLANS[chosen]:
        for reference in known[name].references:
            steps.setdefault(reference.reftype, []).append(name)
    answers = recommendations(exposure.metadata, steps, in_context)
    found = {reftype: answer or "N/A" for reftype, answer in answers.items()}
    missing = [reftype for reftype, answer in found.items() if answer.startswith("NOT FOUND")]
    if as_json:
        print_json({"file": str(file), "context": in_context, "plan": chosen, "references": found, "missing": missing})
    else:
        print(f"{file}: {chosen}, {in_context}")
        print_table(
            "", ("type", "reference", "steps"), [(name, found[name], ", ".join(steps[name])) for name in sorted(found)]
        )
    return exit_codes.FAILED if missing else exit_codes.DONE
