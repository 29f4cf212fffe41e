"""The seccomp filter: system calls that a trap process may not make, as a BPF program.

A trap reads from and writes to connections that were accepted for it.  It opens no socket,
connects nowhere, sends to nobody by address, starts no program, looks into no process and
changes nothing of the machine; whatever would is answered EPERM.  Numbers newer than the
table are answered ENOSYS, so that no later kernel opens a way round it (io_uring was one).

Must not be in here: paths (``landlock``), the decision when to install it (``sandbox``).

Source: linux/seccomp.h, linux/bpf_common.h; numbers: asm/unistd_64.h, asm-generic/unistd.h.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import Final

import msgspec

NEWEST: Final = 450  # the highest number the tables were checked against
X32: Final = 0x4000_0000  # numbers of the x32 interface begin here
CLONE_THREAD: Final = 0x1_0000
_LOAD, _EQUAL, _ABOVE, _SET, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_EPERM, _ENOSYS = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
_MODE_FILTER, _ALL_THREADS = 1, 1

# name: (x86_64, aarch64); None where the architecture does not have it.
DENIED: Final[dict[str, tuple[int | None, int | None]]] = {
    # the network
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # programs and processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "kcmp": (312, 272),
    "process_madvise": (440, 440), "kill": (62, 129), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    # the machine
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "personality": (135, 92),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "fanotify_init": (300, 262), "mknod": (133, None), "mknodat": (259, 33),
    "syslog": (103, 116), "uselib": (134, None),
    # becoming somebody else
    "setuid": (105, 146), "setgid": (106, 144), "setgroups": (116, 159),
    "setreuid": (113, 145), "setregid": (114, 143), "setresuid": (117, 147),
    "setresgid": (119, 149),
}  # fmt: skip


class Machine(msgspec.Struct, frozen=True):
    """What differs between architectures."""

    column: int  # in DENIED
    audit: int  # AUDIT_ARCH_...
    sendto: int
    clone: int
    clone3: int
    seccomp: int


MACHINES: Final = {
    "x86_64": Machine(0, 0xC000_003E, 44, 56, 435, 317),
    "aarch64": Machine(1, 0xC000_00B7, 206, 220, 435, 277),
}


def program(machine: Machine) -> bytes:
    """Return the filter as an array of ``struct sock_filter``."""
    numbers = [row[machine.column] for row in DENIED.values()]
    code = [
        _op(_LOAD, _ARCHITECTURE),
        _op(_EQUAL, machine.audit, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER),
        # First, for it is the one call of every answer that the kernel cannot know to be
        # good by its number.  sendto goes to whom we are connected with: an address
        # (argument 4) is denied, and with it MSG_FASTOPEN, which connects.
        _op(_EQUAL, machine.sendto, 0, 6),
        _op(_LOAD, _ARGUMENTS + 4 * 8),
        _op(_EQUAL, 0, 0, 3),
        _op(_LOAD, _ARGUMENTS + 4 * 8 + 4),
        _op(_EQUAL, 0, 0, 1),
        _op(_RETURN, _ALLOW),
        _op(_RETURN, _EPERM),
        _op(_ABOVE, X32 - 1, 0, 1),
        _op(_RETURN, _EPERM),
        _op(_ABOVE, NEWEST, 0, 1),
        _op(_RETURN, _ENOSYS),
        # clone3 hides its flags behind a pointer; the C library falls back to clone.
        _op(_EQUAL, machine.clone3, 0, 1),
        _op(_RETURN, _ENOSYS),
    ]
    for number in numbers:
        if number is not None:
            code += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _EPERM)]
    code += [
        # clone makes threads, and nothing else.
        _op(_EQUAL, machine.clone, 0, 3),
        _op(_LOAD, _ARGUMENTS),
        _op(_SET, CLONE_THREAD, 1, 0),
        _op(_RETURN, _EPERM),
        _op(_RETURN, _ALLOW),
    ]
    return b"".join(code)


def _op(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    """Pack an instruction; ``true`` and ``false`` are how many to skip."""
    return struct.pack("=HBBI", code, true, false, value)


def install() -> str:
    """Put the filter on this process for ever; return "" or why it could not be done."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return f"no system call table for {platform.machine()}"
    code = program(machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("@HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.syscall(
        ctypes.c_long(machine.seccomp),
        ctypes.c_long(_MODE_FILTER),
        ctypes.c_long(_ALL_THREADS),
        whole,
    )
    return "" if done == 0 else f"seccomp: {os.strerror(ctypes.get_errno())}"
