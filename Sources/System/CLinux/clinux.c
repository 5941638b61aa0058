#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <malloc.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
#include <linux/if_tun.h>
#include <linux/openat2.h>

#include "CLinux.h"

const int roost_clone_newnet = CLONE_NEWNET;
const int roost_clone_newns = CLONE_NEWNS;
const int roost_open_direct = O_DIRECT;

int roost_setns(int fd, int type) { return setns(fd, type) == 0 ? 0 : -errno; }

int roost_new_network_namespace(void) { return unshare(CLONE_NEWNET) == 0 ? 0 : -errno; }

int roost_spawn_detached(const char *program, char *const argv[], char *const envp[], const char *directory,
                         int report, int start) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    // Their numbers may be those that they shall get, or that are opened below.
    int high_report = fcntl(report, F_DUPFD_CLOEXEC, 5);
    if (high_report < 0) return -errno;
    int high_start = fcntl(start, F_DUPFD_CLOEXEC, 5);
    if (high_start < 0) {
        int code = errno;
        close(high_report);
        return -code;
    }
    pid_t child = -1;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure) goto no_actions;
    failure = posix_spawnattr_init(&attributes);
    if (failure) goto no_attributes;
    failure = posix_spawn_file_actions_adddup2(&actions, high_report, 3);
    if (!failure) failure = posix_spawn_file_actions_adddup2(&actions, high_start, 4);
    if (!failure) failure = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failure) failure = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (!failure) failure = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (!failure) failure = posix_spawn_file_actions_addclosefrom_np(&actions, 5);
    if (!failure) failure = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (!failure) failure = posix_spawnattr_setsigmask(&attributes, &none);
    if (!failure) failure = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!failure)
        failure = posix_spawnattr_setflags(
            &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    if (!failure) failure = posix_spawnp(&child, program, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
no_attributes:
    posix_spawn_file_actions_destroy(&actions);
no_actions:
    close(high_report);
    close(high_start);
    return failure ? -failure : child;
}

int roost_fallocate(int fd, int64_t offset, int64_t length) {
    return fallocate(fd, 0, offset, length) == 0 ? 0 : -errno;
}

int roost_set_parent_death_signal(int signal) {
    return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) == 0 ? 0 : -errno;
}

int roost_pidfd_open(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd >= 0 ? fd : -errno;
}

int roost_find_in_root(int root, const char *path) {
    // RESOLVE_IN_ROOT gives up when something is renamed meanwhile; a few tries are enough for anything honest.
    for (int tries = 0; tries < 8; tries++) {
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
        long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0) return (int)fd;
        if (errno != EAGAIN && errno != EINTR) return -errno;
    }
    return -EAGAIN;
}

static void start_command(const char *program, char *const argv[], char *const envp[], const int stdio[3]) {
    for (int i = 0; i < 3; i++)
        if (dup2(stdio[i], i) < 0) _exit(127);
    close_range(3, ~0U, 0);
    execve(program, argv, envp);
    _exit(127);
}

// The child of a fork of a program with threads: nothing here but system calls.
static void supervise(const char *program, char *const argv[], char *const envp[], const int stdio[3], int report) {
    struct roost_end end = {0, 0, 0};
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    pid_t command = fork();
    if (command < 0) _exit(1);
    if (command == 0) start_command(program, argv, envp, stdio);
    // From here on nobody waits for an end of the outputs that only this process has open.
    for (int i = 0; i < 3; i++) close(stdio[i]);
    if (report > 3) close_range(3, report - 1, 0);
    close_range(report + 1, ~0U, 0);
    int status;
    pid_t pid;
    while ((pid = wait(&status)) > 0 || errno == EINTR) {
        if (pid <= 0) continue;
        end.pid = pid;
        end.is_adopted = pid != command;
        end.status = status;
        if (write(report, &end, sizeof end) != sizeof end) _exit(1);
    }
    _exit(0);
}

int roost_supervise(const char *program, char *const argv[], char *const envp[], const int stdio[3], int report) {
    // Descriptors 0 to 2 are overwritten in the command: ours must be above them.
    for (int i = 0; i < 3; i++)
        if (stdio[i] < 3) return -EBADF;
    if (report < 3) return -EBADF;
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) supervise(program, argv, envp, stdio, report);
    return child;
}

void roost_trim_heap(void) { malloc_trim(0); }

int roost_memory_file(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int roost_open_tun(const char *name) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int failure = -errno;
        close(fd);
        return failure;
    }
    return fd;
}

void roost_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

void roost_idle_thread(void) {
    // linux/ioprio.h: IOPRIO_WHO_PROCESS, and IOPRIO_CLASS_IDLE above 13 bits of data. 0 is the calling thread, for both.
    syscall(SYS_ioprio_set, 1, 0, 3 << 13);
    setpriority(PRIO_PROCESS, 0, 19);
}

int roost_spawn_close_from(posix_spawn_file_actions_t *actions, int first) {
    return -posix_spawn_file_actions_addclosefrom_np(actions, first);
}

long roost_send_files(int socket, const void *bytes, size_t count, const int *files, int file_count, int flags) {
    if (file_count < 0 || file_count > ROOST_FILES_MAX) return -EINVAL;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(ROOST_FILES_MAX * sizeof(int))];
    } control;
    struct iovec piece = {(void *)bytes, count};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (file_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(file_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(file_count * sizeof(int));
        memcpy(CMSG_DATA(header), files, file_count * sizeof(int));
    }
    ssize_t sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    return sent >= 0 ? sent : -errno;
}

long roost_receive_files(int socket, void *bytes, size_t count, int *files, int *file_count, int flags) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(ROOST_FILES_MAX * sizeof(int))];
    } control;
    struct iovec piece = {bytes, count};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    *file_count = 0;
    ssize_t received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (received < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int found = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        if (*file_count + found > ROOST_FILES_MAX) found = ROOST_FILES_MAX - *file_count;
        memcpy(files + *file_count, CMSG_DATA(header), found * sizeof(int));
        *file_count += found;
    }
    if (message.msg_flags & MSG_CTRUNC) {
        // Some are lost already, and nobody could say which.
        for (int i = 0; i < *file_count; i++) close(files[i]);
        *file_count = 0;
        return -EMFILE;
    }
    return received;
}

int roost_peer(int socket, pid_t *process, uid_t *user) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -errno;
    *process = peer.pid;
    *user = peer.uid;
    return 0;
}

int roost_become(uid_t user, gid_t group) {
    // The bounding set first: it takes a capability to drop one. EINVAL: the kernel has no more of them.
    for (int right = 0; prctl(PR_CAPBSET_DROP, right, 0, 0, 0) == 0; right++)
        ;
    if (errno != EINVAL) return -errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return -errno;
    if (setgroups(0, 0) != 0 || setresgid(group, group, group) != 0 || setresuid(user, user, user) != 0) return -errno;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    if (syscall(SYS_capset, &header, none) != 0) return -errno;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
    // Keys are in its memory: no core file, and nobody else of this user may look.
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return -errno;
    return 0;
}

int roost_compare_files(pid_t one, pid_t other) {
    long order = syscall(SYS_kcmp, one, other, KCMP_FILES, 0, 0);
    return order < 0 ? -errno : (int)order;
}
