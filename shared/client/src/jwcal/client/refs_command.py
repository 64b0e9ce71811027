"""``jwcal refs bestrefs``: which references an exposure gets."""

from pathlib import Path

from jwcal.client import exit_codes
from jwcal.client.output import print_json, print_table


def best_references(file: Path, *, context: str | None, plan: str | None, as_json: bool) -> int:
    """Print the reference of each type that the exposure's plan asks for."""
    from jwcal.core.products.read import open_exposure
    from jwcal.core.references.best import default_context, recommendations
    from jwcal.detector1.plans import PLANS, choose_plan
    from jwcal.detector1.settings import definitions

    metadata = open_exposure(file).metadata
    in_context = context or default_context()
    chosen = choose_plan(metadata, dark=plan is not None) if plan is None or plan.upper() == "DARK" else plan.upper()
    known = definitions()
    steps: dict[str, list[str]] = {}
    for name in PLANS[chosen]:
        for reference in known[name].references:
            steps.setdefault(reference.reftype, []).append(name)
    answers = recommendations(metadata, steps, in_context)
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
