"""What a donor lends, against what the inventory gives away of it."""

from metal.inventory.draft import Draft
from metal.network.sites import pool


def check_terms(draft: Draft) -> None:
    for name, site in draft.sites.items():
        lent, listed = site.donor.addresses, len(pool(site))
        if lent is not None and listed > lent:
            what = f"the pool has {listed} addresses, but {site.donor.name} lends {lent}"
            draft.at_value(("sites", name, "ipv4_pool"), what, "list fewer, or ask for more")
