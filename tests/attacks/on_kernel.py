"""Attacks on the terminal and on interfaces of the kernel."""

from __future__ import annotations

from tests.attacks.attack import Attack, python, syscall
from tests.attacks.ground import THROUGH

_TIOCSTI = 'import fcntl, os; f = os.open("/dev/tty", os.O_RDWR); fcntl.ioctl(f, {number}, b"x"); print("{through}")'
KERNEL = [
    Attack(
        "characters are put into the terminal",
        "terminal",
        python(_TIOCSTI.format(number="0x5412", through=THROUGH)),
        control=False,
    ),
    Attack(
        "characters are put into the terminal with a disguised number",
        "terminal",
        syscall("16/29", '0, 0x100005412, b"x"'),
        control=False,
    ),
    Attack(
        "the console's selection is pasted",
        "terminal",
        python(f'import os, pty, fcntl; m, s = os.openpty(); fcntl.ioctl(s, 0x541C, b"\\x03"); print("{THROUGH}")'),
        control=False,
    ),
    Attack(
        "characters are put into a terminal of its own making",
        "terminal",
        python(
            "import os, fcntl, termios; os.setsid() if os.getpid() != os.getsid(0) else 0; m, s = os.openpty(); "
            'fcntl.ioctl(s, termios.TIOCSCTTY, 0); fcntl.ioctl(s, 0x5412, b"x"); '
            f'print("{THROUGH}")'
        ),
        control=False,
    ),
    Attack(
        "a BPF program is loaded",
        "kernel",
        syscall("321/280", "0, ctypes.create_string_buffer(128), 128"),
        control=False,
    ),
    Attack("page faults are handled by a program", "kernel", syscall("323/282", "1"), control=False),
    Attack(
        "performance events are opened",
        "kernel",
        syscall("298/241", 'ctypes.create_string_buffer(b"\\1\\0\\0\\0\\x80\\0\\0\\0", 128), 0, -1, -1, 0'),
        control=False,
    ),
    Attack("the session's keys are listed", "kernel", syscall("250/219", "0, -3, 1")),
    Attack("a user namespace is made", "kernel", syscall("272/97", "0x10000000"), control=False),
    Attack(
        "a user namespace is made with clone",
        "kernel",
        python(
            'import ctypes, platform, os; n = 56 if platform.machine() == "x86_64" else 220; '
            "r = ctypes.CDLL(None).syscall(n, 0x10000011, 0, 0, 0, 0); "
            f'r == 0 and os._exit(0); print("{THROUGH}" if r > 0 else 0)'
        ),
        control=False,
    ),
    Attack(
        "a user namespace is made with clone3",
        "kernel",
        python(
            "import ctypes, os, struct; "
            'b = ctypes.create_string_buffer(struct.pack("QQQQQQQQ", 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64); '
            "r = ctypes.CDLL(None).syscall(435, b, 64); r == 0 and os._exit(0); "
            f'print("{THROUGH}" if r > 0 else 0)'
        ),
        control=False,
    ),
    Attack(
        "another calling convention is used",
        "kernel",
        python(
            'import ctypes, platform; platform.machine() == "x86_64" and '
            f'print("{THROUGH}" if ctypes.CDLL(None).syscall(0x40000000 + 41, 1, 1, 0) >= 0 else 0)'
        ),
        control=False,
    ),
    Attack(
        "a file is opened by its handle",
        "kernel",
        syscall("303/264", '-100, b"/", ctypes.create_string_buffer(b"\\x80", 136), ctypes.create_string_buffer(8), 0'),
        control=False,
    ),
]
