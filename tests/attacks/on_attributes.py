"""Attacks on rights, times and attributes of files outside, and on memory that programs share."""

from __future__ import annotations

from tests.attacks.attack import Attack, python
from tests.attacks.ground import THROUGH

_SWAP = (
    "import ctypes, os, threading, time\n"
    'out, own = os.environ["OUT"] + "/file.txt", os.path.abspath("own")\n'
    'open(own, "w").close()\n'
    "end = time.time() + 1.5\n"
)
ATTRIBUTES = [
    Attack(
        "rights are changed by the number of every call for it",
        "attributes",
        python(
            'import ctypes, os, platform; x = platform.machine() == "x86_64"; l = ctypes.CDLL(None); '
            'p = (os.environ["OUT"] + "/file.txt").encode(); f = os.open(p, os.O_RDONLY); d = os.open("/", 0); '
            "x and l.syscall(90, p, 0o777); l.syscall(91 if x else 52, f, 0o777); "
            "l.syscall(268 if x else 53, -100, p, 0o777); l.syscall(268 if x else 53, d, p[1:], 0o777); "
            'l.syscall(452, -100, p, 0o777, 0); l.syscall(452, f, b"", 0o777, 0x1000)'
        ),
    ),
    Attack(
        "rights are changed through the descriptors of /proc",
        "attributes",
        "exec 7< $OUT/file.txt; chmod 777 /proc/self/fd/7 /dev/fd/7 /proc/$$/fd/7 /proc/thread-self/fd/7",
    ),
    Attack("rights are changed through /proc/self/root", "attributes", "chmod 777 /proc/self/root$OUT/file.txt"),
    Attack("rights are changed through a link", "attributes", "ln -s $OUT/file.txt l; chmod 777 l; chmod -R 777 $OUT"),
    Attack(
        "times are changed by descriptor",
        "attributes",
        python('import os; os.utime(os.open(os.environ["OUT"] + "/file.txt", os.O_RDONLY), (1, 1))'),
    ),
    Attack(
        "times are changed by the older calls",
        "attributes",
        python(
            'import ctypes, os, platform; l = ctypes.CDLL(None); p = (os.environ["OUT"] + "/file.txt").encode(); '
            'l.utime(p, ctypes.create_string_buffer(b"\\1", 16)); l.utimes(p, ctypes.create_string_buffer(b"\\1", 32))'
        ),
    ),
    Attack(
        "an attribute is set by descriptor",
        "attributes",
        python('import os; os.setxattr(os.open(os.environ["OUT"] + "/file.txt", os.O_RDONLY), "user.evil", b"x")'),
    ),
    Attack(
        "an access list is set",
        "attributes",
        python(
            "import os, struct; "
            'a = struct.pack("<I" + "HHI" * 5, 2, 1, 6, 0xFFFFFFFF, 2, 7, 12345, 4, 4, 0xFFFFFFFF, 16, 7, 0xFFFFFFFF, '
            "32, 4, 0xFFFFFFFF); "
            'os.setxattr(os.environ["OUT"] + "/file.txt", "system.posix_acl_access", a)'
        ),
    ),
    Attack(
        "flags of a file are set",
        "attributes",
        python(
            'import fcntl, os; f = os.open(os.environ["OUT"] + "/file.txt", os.O_RDONLY); '
            f'fcntl.ioctl(f, 0x40086602, b"\\x80\\0\\0\\0\\0\\0\\0\\0"); print("{THROUGH}")'
        ),
    ),
    Attack(
        "the path is exchanged in memory while rights are changed",
        "attributes race",
        python(
            _SWAP + "a, b = (own + chr(0)).encode(), (out + chr(0)).encode()\n"
            "buffer = ctypes.create_string_buffer(5000)\n"
            "def swap():\n"
            "    while time.time() < end:\n"
            "        ctypes.memmove(buffer, a, len(a)); ctypes.memmove(buffer, b, len(b))\n"
            "threading.Thread(target=swap).start()\n"
            "while time.time() < end: ctypes.CDLL(None).chmod(buffer, 0o777)"
        ),
    ),
    Attack(
        "a link is exchanged while rights are changed",
        "attributes race",
        python(
            _SWAP + "def swap():\n"
            "    while time.time() < end:\n"
            '        for target in (own, out): os.symlink(target, "n"); os.rename("n", "l")\n'
            'os.symlink(own, "l")\n'
            "threading.Thread(target=swap).start()\n"
            "while time.time() < end:\n"
            '    try: os.chmod("l", 0o777)\n'
            "    except OSError: pass"
        ),
    ),
    Attack(
        "a descriptor is exchanged while rights are changed",
        "attributes race",
        python(
            _SWAP + "a, b, c = os.open(own, 0), os.open(out, 0), os.open(own, 0)\n"
            "def swap():\n"
            "    while time.time() < end: os.dup2(b, c); os.dup2(a, c)\n"
            "threading.Thread(target=swap).start()\n"
            "while time.time() < end:\n"
            "    try: os.fchmod(c, 0o777)\n"
            "    except OSError: pass"
        ),
    ),
]

SHARED = [
    Attack(
        "another program's memory segment is attached",
        "shared memory",
        python(
            "import ctypes, os; l = ctypes.CDLL(None); l.shmat.restype = ctypes.c_long; "
            f'print("{THROUGH}" if l.shmat(int(os.environ["SEGMENT"]), 0, 0) != -1 else 0)'
        ),
    ),
    Attack(
        "another program's memory segment is looked at",
        "shared memory",
        python(
            "import ctypes, os; l = ctypes.CDLL(None); "
            'r = l.shmctl(int(os.environ["SEGMENT"]), 2, ctypes.create_string_buffer(500)); '
            f'print("{THROUGH}" if r >= 0 else 0)'
        ),
    ),
    Attack("another program's shared file is overwritten", "shared memory", "echo x > /dev/shm/$SHARED"),
    Attack("another program's shared file is deleted", "shared memory", "rm -f /dev/shm/$SHARED"),
    Attack("something is left in shared memory", "shared memory", "echo x > /dev/shm/left-by-attack"),
]
