"""Programs on a server, through a real sshd."""

from dataclasses import replace

import pytest

from metal.drivers import identities
from metal.drivers.host_keys import HostKeys
from metal.drivers.ssh import Ssh, agent, controller_key
from metal.model.errors import BadInput, Refused, Unreachable


def test_arguments_and_input_arrive_as_they_are(sshd):
    done = Ssh(sshd.host).run(["sh", "-c", 'cat; printf "%s" "$1"', "sh", "a 'b' $c"], stdin=b"in")
    assert (done.code, done.out) == (0, b"ina 'b' $c")
    done = Ssh(sshd.host).run(["sh", "-c", "echo no >&2; exit 7"])
    assert (done.code, done.said) == (7, "no")


def test_another_host_key_is_refused_and_nothing_is_sent(sshd, tmp_path, new_key):
    host = replace(sshd.host, host_keys=(new_key(tmp_path / "other"),))
    with pytest.raises(Refused, match="another host key"):
        Ssh(host).run(["touch", str(tmp_path / "touched")])
    assert not (tmp_path / "touched").exists()


def test_without_a_pin_nobody_is_trusted(sshd):
    with pytest.raises(Refused, match="not known"):
        Ssh(replace(sshd.host, host_keys=())).run(["true"])
    with pytest.raises(BadInput, match="no SSH host key"):
        Ssh(replace(sshd.host, host_keys=("ssh-ed25519 A\nb",))).run(["true"])


def test_a_key_it_does_not_know_and_a_port_nobody_listens_on(sshd, tmp_path, new_key):
    new_key(tmp_path / "stranger")
    with pytest.raises(Refused, match="does not let"):
        Ssh(replace(sshd.host, identity=tmp_path / "stranger")).run(["true"])
    with pytest.raises(Unreachable):
        Ssh(replace(sshd.host, port=1)).run(["true"])


def test_a_program_that_hangs_is_given_up(sshd):
    with pytest.raises(Unreachable, match=r"within 0\.5 s"):
        Ssh(sshd.host).run(["sleep", "60"], timeout=0.5)


def test_one_prompt_for_an_administrators_key_however_many_servers(sshd, tmp_path, new_key):
    public = new_key(tmp_path / "ana", passphrase="correct horse")
    sshd.authorized.write_text(f"{public}\n")
    asked = []

    def ask(what):
        asked.append(what)
        return "correct horse"

    identity = identities.load(tmp_path / "ana", ask)
    assert identity.ssh is not None
    with agent(identity.ssh) as socket:
        host = replace(sshd.host, identity=None, agent=socket)
        assert [Ssh(host).run(["echo", "in"]).out for _ in range(3)] == [b"in\n"] * 3
    assert len(asked) == 1
    assert not socket.exists()


def test_the_controllers_key_is_made_once_and_lets_in(sshd, tmp_path):
    file, public = controller_key(tmp_path / "state")
    assert controller_key(tmp_path / "state") == (file, public)
    sshd.authorized.write_text(f"{public}\n")
    assert Ssh(replace(sshd.host, identity=file)).run(["true"]).code == 0
    file.chmod(0o644)
    with pytest.raises(Refused, match="others"):
        controller_key(tmp_path / "state")


def test_pins_are_kept_door_by_door(tmp_path, new_key):
    pins = HostKeys(tmp_path / "pins")
    system, initramfs = new_key(tmp_path / "a"), new_key(tmp_path / "b")
    assert pins.of("alba1", "system") == ()
    pins.pin("alba1", "system", [system])
    pins.pin("alba1", "initramfs", [initramfs])
    assert HostKeys(tmp_path / "pins").of("alba1", "system") == (system,)
    assert pins.of("alba1", "initramfs") == (initramfs,)
    with pytest.raises(BadInput):
        pins.pin("alba1", "system", ["nonsense"])
    with pytest.raises(BadInput):
        pins.pin("../x", "system", [system])
    pins.forget("alba1")
    assert pins.of("alba1", "system") == ()
