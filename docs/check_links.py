"""Check that every link inside a built site leads to a page, and to a place on it, that exist.

    python docs/check_links.py SITE

Links to other hosts are counted, not followed. Exits with 1 if a link is broken.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places on it that links can lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id" or (tag == "a" and name == "name"):
                self.places.add(value)


def main(site):
    site = Path(site).resolve()
    # What the theme keeps among its files are templates.
    found = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path) for path in found}
    broken, inside, outside = [], 0, 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                outside += 1
                continue
            inside += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            # The interactive page keeps its state behind the #.
            known = pages[target].places if target in pages else {unquote(parts.fragment)}
            if not target.is_file() or unquote(parts.fragment) not in known:
                broken.append(f"{path.relative_to(site)}: {link}")
    for line in broken:
        print(line)
    print(
        f"{len(pages)} pages, {inside} links inside the site, {len(broken)} broken; {outside} to other hosts"
    )
    return int(bool(broken) or not pages)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
