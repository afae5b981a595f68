/*
 * Takes rights from a process that works on foreign bytes: a decoder that was taken over is to find nothing but the pipe to the
 * service. `LD_PRELOAD=confine.node node ...` does it before the program begins, so that every thread is under it.
 *
 *  - no new privileges: no set-user-id program and no file capability helps any more;
 *  - capabilities: dropped, where the process runs as root;
 *  - Landlock: no file is written, made, removed or run, no address listened on or connected to, and no process outside
 *    looked into, such as the environment and the memory of the service;
 *  - seccomp: a list of system calls that nobody needs who measures images fails with EPERM.
 *
 * A program that fetches a stream by itself is given STOPLINE_CONFINE_PORT, the one TCP port that it may connect to; nothing of the
 * network is else taken from it than to listen, and on kernels before 6.7 it may connect to every port.
 *
 * What is in force then stands in the variable STOPLINE_CONFINED. Linux on x86-64 and ARM64; elsewhere it does nothing.
 * Nothing of it needs a right, and what a kernel lacks is left out.
 */
#define _GNU_SOURCE
/* Alpine keeps the headers of the kernel in a package of their own. */
#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && __has_include(<linux/seccomp.h>)
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of <linux/landlock.h>, which older kernel headers lack. */
#define LANDLOCK_CREATE 444
#define LANDLOCK_ADD_RULE 445
#define LANDLOCK_RESTRICT 446
#define LANDLOCK_RULE_PORT 2
#define LANDLOCK_CONNECT UINT64_C(2)
typedef struct {
  uint64_t files, network, scopes;
} ruleset;
typedef struct {
  uint64_t allowed, port;
} port_rule;

/* The port that may be connected to; 0 where there is none. */
static uint64_t read_port(void) {
  const char *text = getenv("STOPLINE_CONFINE_PORT");
  return text == NULL ? 0 : strtoul(text, NULL, 10);
}

static int restrict_files(void) {
  long version = syscall(LANDLOCK_CREATE, NULL, 0, 1);
  if (version < 1) return 0;
  /* Bits 0, 1, 4 to 12: execute, write, remove, make; reading stays. 13: move between folders; 14: truncate. */
  uint64_t files = 0x1ff3;
  if (version >= 2) files |= UINT64_C(1) << 13;
  if (version >= 3) files |= UINT64_C(1) << 14;
  ruleset rules = {files, version >= 4 ? 3 : 0, version >= 6 ? 3 : 0};
  size_t size = version >= 6 ? sizeof rules : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
  int fd = (int)syscall(LANDLOCK_CREATE, &rules, size, 0);
  if (fd < 0) return 0;
  port_rule rule = {LANDLOCK_CONNECT, read_port()};
  if (version >= 4 && rule.port != 0) syscall(LANDLOCK_ADD_RULE, fd, LANDLOCK_RULE_PORT, &rule, 0);
  int done = syscall(LANDLOCK_RESTRICT, fd, 0) == 0;
  close(fd);
  return done;
}

static int drop_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  return syscall(__NR_capset, &header, none) == 0;
}

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define MISSING BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The low half of an argument: flags and process ids have no more, on little-endian machines. */
#define ARGUMENT(i) LOAD(args[i])
#define REFUSE(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), DENY
/* Node makes sure of the folder of its compile cache, and reads there only where it is told that there is one. */
#define NO_FOLDER(call)                                                                                             \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EEXIST)
/* Opens that write, make or empty a file. */
#define READ_ONLY(call, i)                                                                                          \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 4), ARGUMENT(i),                                              \
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1), DENY, ALLOW
/* Signals to others than itself. */
#define OWN_ONLY(call, own)                                                                                         \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 4), ARGUMENT(0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own, 1, 0), \
      DENY, ALLOW

static int filter_calls(void) {
  uint32_t own = (uint32_t)getpid();
  struct sock_filter filter[] = {
      LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), LOAD(nr),
#if defined(__x86_64__)
      /* The same calls under other numbers (x32). */
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), DENY, REFUSE(fork), REFUSE(vfork), REFUSE(creat),
      REFUSE(unlink), REFUSE(rename), REFUSE(link), REFUSE(symlink), NO_FOLDER(mkdir), REFUSE(rmdir), REFUSE(mknod),
      REFUSE(chmod), REFUSE(chown), REFUSE(lchown), READ_ONLY(open, 1),
#endif
      READ_ONLY(openat, 2), OWN_ONLY(kill, own), OWN_ONLY(tgkill, own),
      /* Threads, but no processes; glibc asks for the newer call first, whose flags cannot be seen, and does without. */
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4), ARGUMENT(0),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0), DENY, ALLOW,
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 435 /* clone3 */, 0, 1), MISSING,
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 437 /* openat2 */, 0, 1), MISSING,
      /* Programs, and processes of others. */
      REFUSE(execve), REFUSE(execveat), REFUSE(ptrace), REFUSE(process_vm_readv), REFUSE(process_vm_writev), REFUSE(kcmp),
      REFUSE(tkill), REFUSE(rt_sigqueueinfo), REFUSE(rt_tgsigqueueinfo),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 424 /* pidfd_send_signal */, 0, 1), DENY,
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 434 /* pidfd_open */, 0, 1), DENY,
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 438 /* pidfd_getfd */, 0, 1), DENY,
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 440 /* process_madvise */, 0, 1), DENY,
      /* The network; the last three stay where there is a port to connect to. */
      REFUSE(listen), REFUSE(accept), REFUSE(accept4), BPF_STMT(BPF_JMP | BPF_JA, read_port() == 0 ? 0 : 3 * 2),
      REFUSE(socket), REFUSE(connect), REFUSE(bind),
      /* Files that are there. */
      REFUSE(unlinkat), REFUSE(renameat2), REFUSE(linkat), REFUSE(symlinkat), NO_FOLDER(mkdirat), REFUSE(mknodat),
#if defined(__NR_renameat)
      REFUSE(renameat),
#endif
      REFUSE(fchmodat), REFUSE(fchmod), REFUSE(fchownat), REFUSE(fchown), REFUSE(truncate), REFUSE(setxattr),
      REFUSE(lsetxattr), REFUSE(fsetxattr), REFUSE(utimensat), REFUSE(open_by_handle_at),
      /* The kernel: namespaces, mounts, modules, and what holes were found in most often. */
      REFUSE(unshare), REFUSE(setns), REFUSE(mount), REFUSE(umount2), REFUSE(pivot_root), REFUSE(chroot), REFUSE(bpf),
      REFUSE(perf_event_open), REFUSE(userfaultfd), REFUSE(keyctl), REFUSE(add_key), REFUSE(request_key),
      REFUSE(init_module), REFUSE(finit_module), REFUSE(delete_module), REFUSE(kexec_load), REFUSE(reboot),
      REFUSE(fanotify_init), REFUSE(swapon), REFUSE(syslog),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 425 /* io_uring_setup */, 0, 1), MISSING,
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 428 /* open_tree ... */, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 433 /* ... fspick, the calls that mount */, 1, 0), DENY, ALLOW};
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

__attribute__((constructor)) static void confine(void) {
  const struct {
    const char *name;
    int (*apply)(void);
  } parts[] = {{",capabilities", drop_capabilities}, {",landlock", restrict_files}, {",seccomp", filter_calls}};
  char on[100] = "no-new-privileges";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i].apply()) strcat(on, parts[i].name);
  setenv("STOPLINE_CONFINED", on, 1);
}
#endif
