"""Administrators: there is one, and every secret can be encrypted to their keys."""

from metal.inventory.draft import Draft
from metal.inventory.keys import key_problem


def check_administrators(draft: Draft) -> None:
    if not draft.declared["administrators"]:
        what = "there is no administrator: nobody could open the escrowed secrets"
        mend = 'add [administrators.NAME] with `name` and `keys = ["ssh-ed25519 …"]`'
        draft.at_key(("administrators",), what, mend)
    owners: dict[str, str] = {}
    for name, administrator in draft.administrators.items():
        for i, key in enumerate(administrator.keys):
            path = ("administrators", name, "keys", i)
            if problem := key_problem(key):
                draft.at_value(path, *problem)
            essence = " ".join(key.split()[:2])
            if essence in owners:
                what = f"this key is {owners[essence]}'s already"
                draft.at_value(path, what, "list a key once: a second copy protects nothing")
            owners.setdefault(essence, name)
