"""What a mount means for grids, from recorded lines of /proc/mounts."""

from __future__ import annotations

import pytest

from orchestrator.cluster.mounts import cache_time, mount_facts, mount_of, read_mounts

NFS = "srv:/home /home nfs4 rw,relatime,vers=4.2,rsize=1048576,hard,proto=tcp,local_lock=none,addr=10.0.0.1 0 0"
NFS3 = "srv:/x /x nfs rw,vers=3,nolock,soft,noexec,acregmin=3,acdirmax=300,local_lock=all 0 0"
LUSTRE = "10.0.0.2@o2ib:/scratch /scratch lustre rw,flock,lazystatfs 0 0"
ODD = r"/dev/sda1 /my\040'own'\011disk\134 ext4 rw 0 0"


def judged(line, *, visible_s=120.0, lease_s=300.0, shared=True):
    (mount,) = read_mounts(line)
    return {fact.name: fact for fact in mount_facts(mount, visible_s=visible_s, lease_s=lease_s, shared=shared)}


def verdicts(found):
    return {name: fact.verdict.value for name, fact in found.items() if fact.verdict.value != "ok"}


def test_the_mount_of_a_path_is_the_longest_above_it_and_the_last_of_equal_ones():
    mounts = read_mounts("a / ext4 rw\nb /home nfs4 rw\nc /home/me lustre rw\nd /home xfs rw\n\nbroken line\n")
    assert [mount_of(path, mounts).kind for path in ("/home/me/runs", "/home/you", "/homely", "/")] == ["lustre", "xfs", "ext4", "ext4"]
    assert mount_of("/a", []).kind == "unknown"


def test_blanks_and_backslashes_in_a_mount_point_are_read():
    assert read_mounts(ODD)[0].point == "/my 'own'\tdisk\\"


@pytest.mark.parametrize("odd", ["\x0c", "\x0b", "\x1c", "\x85", "\xa0", "\u2028", "\r", "'\""])
def test_a_mount_point_of_somebody_else_with_an_odd_character_hides_no_other(odd):
    mounts = read_mounts(f"a / ext4 rw 0 0\nx@h:/ /home/eve/a{odd}b fuse.sshfs rw 0 0\n{NFS}\n")
    assert [mount.point for mount in mounts] == ["/", f"/home/eve/a{odd}b", "/home"]
    assert mount_of("/home/me/runs", mounts).kind == "nfs4"


def test_a_usual_nfs_mount_works():
    found = judged(NFS)
    assert (verdicts(found), found["locks"].value) == ({}, "hold between machines; grids need none")
    assert "60 s" in found["attribute cache"].value


def test_everything_that_is_odd_about_a_mount_is_told():
    found = judged(NFS3)
    assert verdicts(found) == {"soft mount": "note", "locks": "note", "noexec": "note", "attribute cache": "bad"}
    assert "#MRSWEEP visible_s=600" in found["attribute cache"].advice
    assert found["locks"].value.startswith("nolock")


@pytest.mark.parametrize(
    ("options", "visible_s", "lease_s", "verdict"),
    [("acdirmax=60", 61, 300, "ok"), ("acdirmax=60", 60, 300, "bad"), ("acdirmax=200", 300, 300, "note"), ("noac", 1, 1, "ok")],
)
def test_the_attribute_cache_is_held_against_the_profile(options, visible_s, lease_s, verdict):
    found = judged(f"s:/ /h nfs4 rw,{options} 0 0", visible_s=visible_s, lease_s=lease_s)
    assert found["attribute cache"].verdict.value == verdict


@pytest.mark.parametrize(
    ("options", "cache_s"), [({}, 60), ({"acdirmax": "5"}, 5), ({"actimeo": "7"}, 7), ({"noac": ""}, 0), ({"acdirmax": "x"}, 60)]
)
def test_the_cache_time_is_read(options, cache_s):
    assert cache_time(options) == cache_s


@pytest.mark.parametrize(
    ("options", "word", "verdict"),
    [("rw,flock", "hold between", "ok"), ("rw", "noflock", "note"), ("rw,localflock", "localflock", "note")],
)
def test_locks_of_lustre_are_told(options, word, verdict):
    fact = judged(f"m:/s /s lustre {options} 0 0")["locks"]
    assert (fact.verdict.value, word in fact.value) == (verdict, True)


@pytest.mark.parametrize(
    ("line", "shared", "expected"),
    [
        ("d / ext4 rw 0 0", True, {"filesystem": "note"}),
        ("d / ext4 rw 0 0", False, {}),
        ("t /tmp tmpfs rw 0 0", False, {"filesystem": "note"}),
        ("d / ext4 ro 0 0", False, {"mount": "bad"}),
        ("s:/ /h nfs rw,vers=2 0 0", True, {"NFS version": "bad"}),
        (LUSTRE, True, {}),
    ],
)
def test_what_other_machines_must_see_is_held_against_where_it_lies(line, shared, expected):
    assert verdicts(judged(line, shared=shared)) == expected
