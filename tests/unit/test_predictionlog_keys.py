from __future__ import annotations

import datetime as dt
import threading

import pytest

from monitor.errors import SettingsError, StoreError
from monitor.predictionlog.keys import KeyRing, MasterKey
from tests.archive import master_key

DAY = dt.date(2026, 3, 1)


@pytest.mark.parametrize("text", ["", "short", "A" * 43, "é", "AAAA"])
def test_a_master_key_of_another_length_is_refused_without_showing_it(text):
    with pytest.raises(SettingsError, match="not 32 bytes in base64") as caught:
        MasterKey(text)
    assert not text or text not in str(caught.value)


def test_there_is_one_key_a_day_and_model_whoever_asks_first(tmp_path):
    master = master_key()
    rings = [KeyRing(tmp_path / "keys", master) for _ in range(8)]
    names: list[tuple[str, str]] = []

    def ask(ring: KeyRing) -> None:
        names.append((ring.key(DAY, "credit").name, ring.pseudonym("anna")))

    threads = [threading.Thread(target=ask, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 8
    assert len(set(names)) == 1
    ring = rings[0]
    others = {ring.key(DAY, "credit/x").name, ring.key(DAY + dt.timedelta(1), "credit").name}
    assert len(others | {names[0][0]}) == 3


def test_what_is_sealed_opens_for_its_own_event_only(tmp_path):
    key = KeyRing(tmp_path, master_key()).key(DAY, "credit")
    sealed, again, other = key.seal([b"Frau", b"Frau", b"Mann"], ["event-1", "event-1", "event-2"])
    assert key.open(sealed, "event-1") == key.open(again, "event-1") == b"Frau"
    assert key.open(other, "event-2") == b"Mann"
    assert b"Frau" not in sealed
    assert again != sealed
    for altered, event in ((sealed, "event-2"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), "event-1")):
        with pytest.raises(StoreError, match="altered"):
            key.open(altered, event)


def test_rotating_the_master_key_leaves_data_keys_and_pseudonyms_as_they_are(tmp_path):
    old, new = master_key(), master_key()
    before = KeyRing(tmp_path, old)
    (sealed,) = before.key(DAY, "credit").seal([b"Frau"], ["e"])
    pseudonym = before.pseudonym("anna")
    during = KeyRing(tmp_path, new, previous=old)
    assert during.key(DAY, "credit").open(sealed, "e") == b"Frau"
    done = during.rewrap()
    assert (done.changed, done.unchanged) == (2, 0)
    assert during.rewrap().changed == 0
    after = KeyRing(tmp_path, new)
    assert after.key(DAY, "credit").open(sealed, "e") == b"Frau"
    assert after.pseudonym("anna") == pseudonym
    with pytest.raises(SettingsError, match="another master key wrapped it"):
        KeyRing(tmp_path, old).key(DAY, "credit")


def test_a_destroyed_key_is_gone_and_the_next_one_opens_nothing_of_it(tmp_path):
    ring = KeyRing(tmp_path, master_key())
    (sealed,) = ring.key(DAY, "credit").seal([b"Frau"], ["e"])
    assert ring.days("credit") == [DAY]
    assert ring.destroy(DAY, "credit")
    assert not ring.destroy(DAY, "credit")
    assert (ring.days("credit"), ring.find(DAY, "credit")) == ([], None)
    with pytest.raises(StoreError, match="altered"):
        ring.key(DAY, "credit").open(sealed, "e")


def test_a_key_file_that_was_altered_or_put_elsewhere_is_refused(tmp_path):
    master = master_key()
    KeyRing(tmp_path, master).key(DAY, "credit")
    (file,) = tmp_path.glob("*/*.json")
    other = tmp_path / "2026-03-02"
    other.mkdir()
    (other / file.name).write_bytes(file.read_bytes())
    with pytest.raises(StoreError, match="this is the key of 2026-03-01 credit"):
        KeyRing(tmp_path, master).key(dt.date(2026, 3, 2), "credit")
    file.write_bytes(file.read_bytes().replace(b'"wrapped":"', b'"wrapped":"AAAA'))
    with pytest.raises(StoreError, match="altered"):
        KeyRing(tmp_path, master).key(DAY, "credit")
    file.write_bytes(b"{")
    with pytest.raises(StoreError, match="no key file"):
        KeyRing(tmp_path, master).key(DAY, "credit")


def test_keys_are_for_their_owner_only(tmp_path):
    KeyRing(tmp_path / "keys", master_key()).key(DAY, "credit")
    (file,) = tmp_path.glob("keys/*/*.json")
    assert [path.stat().st_mode & 0o077 for path in (file, file.parent, file.parents[1])] == [0] * 3
    assert not list(tmp_path.glob("keys/*/.*"))
