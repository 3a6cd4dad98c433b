"""Start a program that may read little, write into one folder, and reach nothing else.

``python confine.py SETTINGS PROGRAM [words]``; SETTINGS are JSON: ``read`` and ``write``, lists of
paths, and ``memory`` in bytes. Linux alone offers the means to any user: Landlock holds files and
signals, a filter of system calls the rest (rights and times of files, the network, other
processes). Standard library only: it runs before anything else of the student's.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys

LEAST = 3  # the version of Landlock that also holds truncation: Linux 6.2
READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # what may be granted for a single file
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every processor
NO_NEW_PRIVILEGES, SET_SECCOMP, DROP_CAPABILITY = 38, 22, 24  # of prctl
# What Landlock does not hold: (x86_64, aarch64) numbers of system calls, None where there is none.
# Rights, owners and times of files, and priorities: nothing is done, and success is told, because
# harmless programs (a copy of a file, a messaging library) ask for them and stop at a refusal.
PRETENDED = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466), "file_setattr": (469, 469), "setpriority": (141, 140),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
}  # fmt: skip
FORBIDDEN = {
    "connect": (42, 203), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "io_uring_setup": (425, 425), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "mount": (165, 40), "umount2": (166, 39),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "open_by_handle_at": (304, 265),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239), "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "sethostname": (170, 161),
    "setdomainname": (171, 162), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
}  # fmt: skip
# (numbers, argument, value, whether a call with this value is the forbidden or the only one)
BY_ARGUMENT = [
    ((41, 198), 0, 1, False),  # socket: none but those within this machine
    ((302, 261), 0, 0, False),  # prlimit64: of no other process
    ((203, 122), 0, 0, False),  # sched_setaffinity: of no other process
    ((16, 29), 1, 0x40086602, True),  # ioctl FS_IOC_SETFLAGS: flags of a file
    ((16, 29), 1, 0x401C5820, True),  # ioctl FS_IOC_FSSETXATTR
]
PROCESSORS = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def version():
    """Return the version of Landlock that the system offers, 0 for none or for another system."""
    if not sys.platform.startswith("linux") or platform.machine() not in PROCESSORS:
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, 1))


def call(function, *arguments):
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = function(*words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def hold_files(libc, read, write):
    """Allow nothing but reading below some paths and writing below others; send no signals out."""
    offered = version()
    every = (1 << (13 + (offered >= 2) + (offered >= 3))) - 1 | (offered >= 5) << 15
    fields = [every, 0b11 if offered >= 4 else 0, 0b11 if offered >= 6 else 0]
    count = 3 if offered >= 6 else 2 if offered >= 4 else 1
    rules = struct.pack(f"={count}Q", *fields[:count])
    ruleset = call(libc.syscall, CREATE_RULESET, rules, len(rules), 0)
    for paths, rights in ((read, READ), (write, every)):
        for path in paths:
            if not os.path.exists(path):
                continue
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            allowed = rights if os.path.isdir(path) else rights & FILE
            rule = struct.pack("=Qi", allowed & every, handle)
            call(libc.syscall, ADD_RULE, ruleset, 1, rule, 0)
            os.close(handle)
    call(libc.syscall, RESTRICT_SELF, ruleset, 0)


def program(column, architecture):
    """Return the filter of system calls as classic BPF: what is forbidden fails with EPERM."""
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    refuse, pretend, allow = ((give, 0, 0, code) for code in (0x00050001, 0x00050000, 0x7FFF0000))
    lines = [(load, 0, 0, 4), (equal, 1, 0, architecture), refuse]
    lines += [(load, 0, 0, 0), (at_least, 0, 1, 0x40000000), refuse]  # the calls of another table
    for table, result in ((PRETENDED, pretend), (FORBIDDEN, refuse)):
        for numbers in table.values():
            if numbers[column] is not None:
                lines += [(equal, 0, 1, numbers[column]), result]
    for numbers, argument, value, forbidden in BY_ARGUMENT:
        lines += [(equal, 0, 4, numbers[column]), (load, 0, 0, 16 + 8 * argument)]
        lines += [(equal, 0, 1, value) if forbidden else (equal, 1, 0, value), refuse]
        lines += [(load, 0, 0, 0)]
    return b"".join(struct.pack("=HBBI", *line) for line in [*lines, allow])


def hold_calls(libc):
    code = program(*PROCESSORS[platform.machine()])
    lines = ctypes.create_string_buffer(code)
    head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(lines))
    call(libc.prctl, SET_SECCOMP, 2, head)


def main(settings, *words):
    settings = json.loads(settings)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (settings["file"],) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (settings["memory"],) * 2)
    if settings["confined"]:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in range(64):
            libc.prctl(DROP_CAPABILITY, capability, 0, 0, 0)  # nothing to drop for most users
        call(libc.prctl, NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        hold_files(libc, settings["read"], settings["write"])
        hold_calls(libc)
    os.execv(words[0], words)


if __name__ == "__main__":
    main(*sys.argv[1:])
