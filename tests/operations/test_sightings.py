"""What can be reached from where."""


def test_the_last_word_of_each_place_counts(local, fake) -> None:
    with local.open(clock=fake.clock) as store:
        store.sightings.put("lisbon", {"alba1": True})
        store.sightings.put("utrecht", {"alba1": False})
        fake.now += 30
        store.sightings.put("lisbon", {"alba1": False, "duna1": True})
        seen = store.sightings.all()
    assert seen["lisbon"].reaches == {"alba1": False, "duna1": True}
    assert (seen["lisbon"].age, seen["utrecht"].age) == (0, 30)


def test_a_place_nobody_watches_from_is_forgotten(store) -> None:
    store.sightings.put("lisbon", {"alba1": True})
    store.sightings.forget("lisbon")
    assert store.sightings.all() == {}
