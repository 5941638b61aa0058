// The Linux system calls and constants that Swift's Glibc module does not import.
//
// This header must not define _GNU_SOURCE: it would change structs that the Glibc module has imported without it.
// What needs it is wrapped in clinux.c and returns -errno on failure.
#ifndef ROOST_CLINUX_H
#define ROOST_CLINUX_H

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/loop.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/// setns(2) for the calling thread. `type` is one of the roost_clone_* values or 0.
int roost_setns(int fd, int type);
extern const int roost_clone_newnet;
/// unshare(2) for the calling thread: a network namespace of its own.
int roost_new_network_namespace(void);
extern const int roost_clone_newns;

/// O_DIRECT of open(2).
extern const int roost_open_direct;

/// Starts a program in a session of its own, found by PATH, standing in `directory`, with `report` as its
/// descriptor 3 and `start` as its descriptor 4, standard input and outputs /dev/null, all other descriptors closed and
/// all signal settings at their defaults: what it and its children inherit is nobody's accident. The process id or
/// -errno.
int roost_spawn_detached(const char *program, char *const argv[], char *const envp[], const char *directory,
                         int report, int start);

/// fallocate(2), mode 0.
int roost_fallocate(int fd, int64_t offset, int64_t length);

/// prctl(PR_SET_PDEATHSIG).
int roost_set_parent_death_signal(int signal);

/// pidfd_open(2); the file descriptor or -errno.
int roost_pidfd_open(pid_t pid);

/// Where a path leads when `root`, an open folder, is taken for /: as an O_PATH descriptor, so that nothing happens to
/// what is found, or -errno. Links are followed inside the folder only.
int roost_find_in_root(int root, const char *path);

/// What ``roost_supervise`` writes to `report` for each process that has ended.
struct roost_end {
    pid_t pid;
    /// 0: the command itself. 1: a process that the command has left to its supervisor.
    int is_adopted;
    /// As of waitpid(2).
    int status;
};

/// Starts a command under a small process of its own, in a session of its own, that adopts what the command leaves
/// behind (PR_SET_CHILD_SUBREAPER), writes down how each ends, and ends when none is left. The supervisor's process
/// id or -errno; the caller reaps it.
int roost_supervise(const char *program, char *const argv[], char *const envp[], const int stdio[3], int report);

/// malloc_trim(3): gives the pages back to the kernel in which nothing is kept any more, of all arenas.
void roost_trim_heap(void);

/// memfd_create(2), closed on exec; the file descriptor or -errno.
int roost_memory_file(const char *name);

/// Opens /dev/net/tun as a TUN device without packet information in the calling thread's network namespace.
/// The file descriptor (non-blocking) or -errno.
int roost_open_tun(const char *name);

/// posix_spawn_file_actions_addclosefrom_np(3): the child has no file descriptor from `first` on.
int roost_spawn_close_from(posix_spawn_file_actions_t *actions, int first);

/// As many descriptors as a message may carry: Linux takes 253 (SCM_MAX_FD).
#define ROOST_FILES_MAX 250

/// sendmsg(2) of bytes with descriptors (SCM_RIGHTS, unix(7)), never with a SIGPIPE. Bytes sent, or -errno.
long roost_send_files(int socket, const void *bytes, size_t count, const int *files, int file_count, int flags);

/// recvmsg(2) of bytes and of the descriptors that came with them, closed on exec. `files` has room for
/// ROOST_FILES_MAX. Bytes received, or -errno; -EMFILE when descriptors were lost on the way, and then none are kept.
long roost_receive_files(int socket, void *bytes, size_t count, int *files, int *file_count, int flags);

/// SO_PEERCRED of unix(7): who connected, or who listens. 0 or -errno.
int roost_peer(int socket, pid_t *process, uid_t *user);

/// Gives up all rights for good: the user and group, no other groups, no capability in any set, none to be had by
/// what is executed (PR_SET_NO_NEW_PRIVS), no core file. For a process with one thread: some of it is the thread's
/// alone. 0 or -errno.
int roost_become(uid_t user, gid_t group);

/// How two threads' tables of open files stand (kcmp(2), KCMP_FILES): 0 one table; 1 or 2 the first's is before or after the
/// other's in an order of all tables; 3 two tables, and no order; or -errno.
int roost_compare_files(pid_t one, pid_t other);

/// Names the calling thread; the kernel keeps 15 bytes.
void roost_name_thread(const char *name);

/// Lets the calling thread have what others leave: nice 19, and the idle class of ioprio_set(2) where the disk's
/// scheduler knows classes. What the kernel refuses stays as it was.
void roost_idle_thread(void);

#endif
