"""Fail if a name that users can import has a type that a type checker cannot know.

    basedpyright --verifytypes lovasz_opt --ignoreexternal --outputjson | python .ci/typed.py

Left out: the kernels, which Numba types, and what inherits from PyTorch, which need not be installed.
"""

import json
import sys

UNTYPED = ("lovasz_opt.kernels.", "lovasz_opt.torch.", "lovasz_opt.training.", "lovasz_opt.figures.network_")

text = sys.stdin.read()
symbols = json.loads(text[text.index("{") :])["typeCompleteness"]["symbols"]
public = [s for s in symbols if s["isExported"] and not s["name"].startswith(UNTYPED)]
unknown = [s for s in public if not s["isTypeKnown"] and not s["isTypeAmbiguous"]]
for symbol in unknown:
    print(symbol["name"], *(d["message"] for d in symbol["diagnostics"]), sep="\n  ")
print(f"types: {len(public)} public names, {len(unknown)} of unknown type")
# An analysis that finds nothing has not found the package.
sys.exit(bool(unknown) or len(public) < 1000)
