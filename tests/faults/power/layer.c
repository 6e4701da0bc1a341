/* A layer between a process and its C library that journals whatever the process does to the files below one directory.

   Loaded by LD_PRELOAD. It takes the calls by which names, bytes and lengths change and by which they are made durable,
   runs them, and appends a record of each to the journal, in the order in which they took effect: a lock shared by all
   processes is held around both. What is asked of the disk (fsync, fdatasync) is recorded and not done: whether it was
   asked for is all that the journal's reader needs. A call that could change a file in a way that the journal cannot tell
   is recorded, too (FOREIGN), so that the reader can refuse the journal.

     POWER_ROOT     the directory, absolute, without symbolic links
     POWER_JOURNAL  the journal, which begins with a page that processes share (struct shared)
     POWER_RULE     "kill sync|rename|unlink|write GLOB N": the process ends by SIGKILL after its Nth such call on a path
                    that matches; "fail sync GLOB N": that call fails with EIO, and what it should have made durable is lost
     POWER_SLOW     microseconds that a sync takes at the most, at random
     POWER_BOOT     a file that is read in place of the kernel's boot id

   Only the path of POWER_BOOT matters where POWER_ROOT is not set. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
  CREATE = 1, /* path, inode, offset: mode */
  MKDIR,      /* path, inode, offset: mode */
  LINK,       /* path: the new name, inode */
  UNLINK,     /* path, inode */
  RMDIR,      /* path, inode */
  RENAME,     /* path, other: the new name, inode */
  WRITE,      /* inode, offset, data */
  TRUNCATE,   /* inode, offset: the length from now on */
  PUNCH,      /* inode, offset, length */
  SYNC,       /* path, inode, site */
  FAILED,     /* a sync that failed: path, inode, site */
  FOREIGN     /* path: what was done, that cannot be told */
};

struct record {
  uint32_t size; /* of the whole record */
  uint8_t kind;
  uint8_t sqlite; /* SQLite made the call */
  uint16_t path;  /* lengths of what follows: path, other, site, data */
  uint16_t other;
  uint16_t site;
  uint32_t process;
  uint64_t inode;
  int64_t offset;
  int64_t length;
  uint64_t data;
} __attribute__((packed));

struct shared {
  uint64_t position; /* where the next record begins, in the file */
  uint64_t matched;  /* calls that POWER_RULE matched */
  uint64_t refusal;  /* an errno: what changes anything fails with it (journal.refuse sets it) */
  pthread_mutex_t mutex;
};

#define PAGE 4096
#define REAL(type, name, ...)                                      \
  static type (*real)(__VA_ARGS__);                                \
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

static struct shared *shared;
static int journal = -1;
static dev_t device;
static char root[PATH_MAX];
static size_t root_length;
static const char *boot;
static char rule_kind[16], rule_glob[PATH_MAX];
static int rule_fails;
static unsigned long rule_count;
static unsigned slowest;
static __thread unsigned chance = 1;
static __thread char site[256];

static void die(const char *text) {
  dprintf(2, "power layer: %s: %s\n", text, strerror(errno));
  _exit(120);
}

__attribute__((constructor)) static void begin(void) {
  boot = getenv("POWER_BOOT");
  const char *where = getenv("POWER_ROOT"), *path = getenv("POWER_JOURNAL"), *rule = getenv("POWER_RULE"),
             *slow = getenv("POWER_SLOW");
  if (!where || !path) return;
  if (slow) slowest = (unsigned)atoi(slow);
  struct stat status;
  if (stat(where, &status)) die(where);
  device = status.st_dev;
  root_length = (size_t)snprintf(root, sizeof root, "%s/", where);
  if (rule) {
    char word[16];
    if (sscanf(rule, "%15s %15s %4095s %lu", word, rule_kind, rule_glob, &rule_count) != 4) die("POWER_RULE");
    rule_fails = !strcmp(word, "fail");
  }
  REAL(int, "open64", const char *, int, ...);
  journal = real(path, O_RDWR | O_CLOEXEC);
  if (journal < 0) die(path);
  int high = fcntl(journal, F_DUPFD_CLOEXEC, 900); /* out of the way of whoever counts descriptors from below */
  if (high >= 0) { close(journal); journal = high; }
  shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, journal, 0);
  if (shared == MAP_FAILED) die("mmap");
  if (shared->position == 0) { /* the first process, which is alone */
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->mutex, &kind);
    shared->position = PAGE;
  }
}

/* Python names the line that asks for the next sync of this thread. */
void power_site(const char *name) { snprintf(site, sizeof site, "%s", name); }

static void lock(void) {
  if (pthread_mutex_lock(&shared->mutex) == EOWNERDEAD) pthread_mutex_consistent(&shared->mutex);
}

static void unlock(void) { pthread_mutex_unlock(&shared->mutex); }

static void put(const void *from, size_t size, uint64_t *at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  const char *bytes = from;
  while (size) {
    ssize_t done = real(journal, bytes, size, (off64_t)*at);
    if (done <= 0) die("the journal cannot be written");
    bytes += done;
    size -= (size_t)done;
    *at += (uint64_t)done;
  }
}

/* With the lock held. */
static void note(enum kind kind, const char *path, const char *other, const char *from, uint64_t inode, int64_t offset,
                 int64_t length, int sqlite, const struct iovec *pieces, int count, size_t bytes) {
  path = path ? path : "";
  other = other ? other : "";
  from = from ? from : "";
  struct record made = {
      .kind = (uint8_t)kind, .sqlite = (uint8_t)sqlite, .path = (uint16_t)strlen(path), .other = (uint16_t)strlen(other),
      .site = (uint16_t)strlen(from), .process = (uint32_t)getpid(), .inode = inode, .offset = offset, .length = length,
      .data = bytes,
  };
  made.size = (uint32_t)(sizeof made + made.path + made.other + made.site + bytes);
  uint64_t at = shared->position;
  put(&made, sizeof made, &at);
  put(path, made.path, &at);
  put(other, made.other, &at);
  put(from, made.site, &at);
  for (int number = 0; number < count && bytes; number++) {
    size_t size = pieces[number].iov_len < bytes ? pieces[number].iov_len : bytes;
    put(pieces[number].iov_base, size, &at);
    bytes -= size;
  }
  shared->position = at;
}

static void note_name(enum kind kind, const char *path, uint64_t inode, int64_t mode) {
  note(kind, path, NULL, NULL, inode, mode, 0, 0, NULL, 0, 0);
}

/* With the lock held: whether the rule says that this call is the one. */
static int is_due(const char *kind, const char *path) {
  return rule_count && !strcmp(kind, rule_kind) && !fnmatch(rule_glob, path, 0) && ++shared->matched == rule_count;
}

static void end_if_due(const char *kind, const char *path) {
  if (rule_fails || !is_due(kind, path)) return;
  unlock();
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* The path below the root that a name stands for, or NULL. */
static const char *below(int directory, const char *name, char *into) {
  char whole[PATH_MAX], resolved[PATH_MAX];
  if (!shared || !name || !*name) return NULL;
  if (name[0] == '/') {
    snprintf(whole, sizeof whole, "%s", name);
  } else if (directory == AT_FDCWD) {
    if (!getcwd(resolved, sizeof resolved)) return NULL;
    if (snprintf(whole, sizeof whole, "%s/%s", resolved, name) >= (int)sizeof whole) return NULL;
  } else {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t length = readlink(link, resolved, sizeof resolved - 1);
    if (length < 0) return NULL;
    resolved[length] = 0;
    if (snprintf(whole, sizeof whole, "%s/%s", resolved, name) >= (int)sizeof whole) return NULL;
  }
  size_t length = strlen(whole);
  while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
  if (strncmp(whole, root, root_length) && !strstr(whole, "/..") && !strstr(whole, "/.")) return NULL;
  char *slash = strrchr(whole, '/');
  if (!slash || slash == whole) return NULL;
  *slash = 0;
  if (!realpath(whole, resolved)) return NULL;
  if (snprintf(into, PATH_MAX, "%s/%s", resolved, slash + 1) >= PATH_MAX) return NULL;
  return strncmp(into, root, root_length) ? NULL : into + root_length;
}

/* The path below the root of an open file, "" for the root itself, or NULL. */
static const char *of(int descriptor, struct stat *status, char *into) {
  if (!shared || descriptor == journal || fstat(descriptor, status)) return NULL;
  if (status->st_dev != device || !(S_ISREG(status->st_mode) || S_ISDIR(status->st_mode))) return NULL;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, into, PATH_MAX - 2);
  if (length < 0) return NULL;
  into[length] = 0;
  if ((size_t)length + 1 == root_length && !strncmp(into, root, (size_t)length)) return "";
  return strncmp(into, root, root_length) ? NULL : into + root_length;
}

/* With the lock held: whether the disk takes no changes; errno is then set. A flush fails only where bytes do (EIO). */
static int is_refused(void) {
  if (!shared->refusal) return 0;
  errno = (int)shared->refusal;
  return 1;
}

static void foreign(const char *what) {
  lock();
  note_name(FOREIGN, what, 0, 0);
  unlock();
}

/* -- names */

static int open_any(int directory, const char *name, int flags, mode_t mode) {
  REAL(int, "openat64", int, const char *, int, ...);
  char buffer[PATH_MAX];
  if (boot && name && !strcmp(name, "/proc/sys/kernel/random/boot_id")) return real(AT_FDCWD, boot, flags, mode);
  const char *path = (flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE ? below(directory, name, buffer) : NULL;
  if (shared && (flags & O_TMPFILE) == O_TMPFILE && below(directory, name, buffer)) foreign("O_TMPFILE");
  if (!path && shared && shared->refusal == EROFS && (flags & O_ACCMODE) != O_RDONLY && below(directory, name, buffer)) {
    errno = EROFS;
    return -1;
  }
  if (!path) return real(directory, name, flags, mode);
  struct stat status;
  lock();
  if (is_refused()) {
    int refusal = errno;
    int there = !fstatat(directory, name, &status, 0);
    if (there && (flags & O_CREAT) && (flags & O_EXCL)) refusal = EEXIST;
    if (!there || refusal == EEXIST || (flags & O_TRUNC) || (refusal == EROFS && (flags & O_ACCMODE) != O_RDONLY)) {
      unlock();
      errno = refusal;
      return -1;
    }
  }
  int found = -1, made = 0;
  if (flags & O_CREAT) {
    found = real(directory, name, flags | O_EXCL, mode);
    made = found >= 0;
    if (!made && (errno != EEXIST || (flags & O_EXCL))) {
      unlock();
      return -1;
    }
  }
  if (!made) found = real(directory, name, flags & ~O_CREAT, mode);
  if (found >= 0 && !fstat(found, &status)) {
    if (made) note_name(CREATE, path, status.st_ino, status.st_mode);
    else if ((flags & O_TRUNC) && S_ISREG(status.st_mode)) note_name(TRUNCATE, NULL, status.st_ino, 0);
  }
  int error = errno;
  unlock();
  errno = error;
  return found;
}

#define OPENS(name)                                  \
  int name(const char *path, int flags, ...) {       \
    mode_t mode = 0;                                 \
    if (flags & (O_CREAT | O_TMPFILE)) {             \
      va_list rest;                                  \
      va_start(rest, flags);                         \
      mode = va_arg(rest, mode_t);                   \
      va_end(rest);                                  \
    }                                                \
    return open_any(AT_FDCWD, path, flags, mode);    \
  }
OPENS(open)
OPENS(open64)
#define OPENS_AT(name)                                         \
  int name(int directory, const char *path, int flags, ...) { \
    mode_t mode = 0;                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                       \
      va_list rest;                                            \
      va_start(rest, flags);                                   \
      mode = va_arg(rest, mode_t);                             \
      va_end(rest);                                            \
    }                                                          \
    return open_any(directory, path, flags, mode);             \
  }
OPENS_AT(openat)
OPENS_AT(openat64)
int creat(const char *path, mode_t mode) { return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int mkdirat(int directory, const char *name, mode_t mode) {
  REAL(int, "mkdirat", int, const char *, mode_t);
  char buffer[PATH_MAX];
  const char *path = below(directory, name, buffer);
  if (!path) return real(directory, name, mode);
  struct stat status;
  lock();
  int found = is_refused() ? -1 : real(directory, name, mode), error = errno;
  if (!found && !fstatat(directory, name, &status, 0)) note_name(MKDIR, path, status.st_ino, status.st_mode);
  unlock();
  errno = error;
  return found;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int unlinkat(int directory, const char *name, int flags) {
  REAL(int, "unlinkat", int, const char *, int);
  char buffer[PATH_MAX];
  const char *path = below(directory, name, buffer);
  if (!path) return real(directory, name, flags);
  struct stat status = {0};
  lock();
  fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW);
  int found = is_refused() ? -1 : real(directory, name, flags), error = errno;
  if (!found) {
    note_name(flags & AT_REMOVEDIR ? RMDIR : UNLINK, path, status.st_ino, 0);
    end_if_due("unlink", path);
  }
  unlock();
  errno = error;
  return found;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
  int found = unlink(name);
  return found && errno == EISDIR ? rmdir(name) : found;
}

int renameat2(int from, const char *name, int to, const char *new_name, unsigned flags) {
  REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
  char buffer[PATH_MAX], other[PATH_MAX];
  const char *path = below(from, name, buffer), *new_path = below(to, new_name, other);
  if (!path && !new_path) return real(from, name, to, new_name, flags);
  struct stat status = {0};
  lock();
  fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW);
  int found = is_refused() ? -1 : real(from, name, to, new_name, flags), error = errno;
  if (!found) {
    if (!path || !new_path || (flags & ~(unsigned)RENAME_NOREPLACE)) note_name(FOREIGN, "a rename over the border", 0, 0);
    else note(RENAME, path, new_path, NULL, status.st_ino, 0, 0, 0, NULL, 0, 0);
    if (new_path) end_if_due("rename", new_path);
  }
  unlock();
  errno = error;
  return found;
}
int renameat(int from, const char *name, int to, const char *new_name) { return renameat2(from, name, to, new_name, 0); }
int rename(const char *name, const char *new_name) { return renameat2(AT_FDCWD, name, AT_FDCWD, new_name, 0); }

int linkat(int from, const char *name, int to, const char *new_name, int flags) {
  REAL(int, "linkat", int, const char *, int, const char *, int);
  char buffer[PATH_MAX];
  const char *new_path = below(to, new_name, buffer);
  if (!new_path) return real(from, name, to, new_name, flags);
  struct stat status = {0};
  lock();
  int found = is_refused() ? -1 : real(from, name, to, new_name, flags), error = errno;
  if (!found && !fstatat(to, new_name, &status, AT_SYMLINK_NOFOLLOW)) note_name(LINK, new_path, status.st_ino, 0);
  unlock();
  errno = error;
  return found;
}
int link(const char *name, const char *new_name) { return linkat(AT_FDCWD, name, AT_FDCWD, new_name, 0); }

int symlinkat(const char *target, int directory, const char *name) {
  REAL(int, "symlinkat", const char *, int, const char *);
  char buffer[PATH_MAX];
  if (below(directory, name, buffer)) foreign("a symbolic link");
  return real(target, directory, name);
}
int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }

/* -- bytes */

static ssize_t wrote(int descriptor, const struct iovec *pieces, int count, off64_t offset, int flags) {
  REAL(ssize_t, "pwritev64v2", int, const struct iovec *, int, off64_t, int);
  struct stat status;
  char buffer[PATH_MAX];
  const char *path = of(descriptor, &status, buffer);
  if (!path || !S_ISREG(status.st_mode)) return real(descriptor, pieces, count, offset, flags);
  lock();
  int appends = fcntl(descriptor, F_GETFL) & O_APPEND;
  if (appends) fstat(descriptor, &status);
  ssize_t done = is_refused() ? -1 : real(descriptor, pieces, count, offset, flags);
  int error = errno;
  if (done > 0) {
    int64_t at = appends ? status.st_size : offset >= 0 ? offset : lseek64(descriptor, 0, SEEK_CUR) - done;
    note(WRITE, NULL, NULL, NULL, status.st_ino, at, 0, 0, pieces, count, (size_t)done);
    end_if_due("write", path);
  }
  unlock();
  errno = error;
  return done;
}

static ssize_t wrote_one(int descriptor, const void *data, size_t size, off64_t offset) {
  struct iovec piece = {(void *)data, size};
  return wrote(descriptor, &piece, 1, offset, 0);
}

/* A socket takes write and writev as they are: an offset of -1 means the same only for files. */
static int is_ours(int descriptor) {
  struct stat status;
  return shared && !fstat(descriptor, &status) && S_ISREG(status.st_mode) && status.st_dev == device;
}
ssize_t write(int descriptor, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  return is_ours(descriptor) ? wrote_one(descriptor, data, size, -1) : real(descriptor, data, size);
}
ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  return is_ours(descriptor) ? wrote(descriptor, pieces, count, -1, 0) : real(descriptor, pieces, count);
}
ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) { return wrote_one(descriptor, data, size, offset); }
ssize_t pwrite(int descriptor, const void *data, size_t size, off_t offset) { return wrote_one(descriptor, data, size, offset); }
ssize_t pwritev64(int descriptor, const struct iovec *pieces, int count, off64_t offset) { return wrote(descriptor, pieces, count, offset, 0); }
ssize_t pwritev(int descriptor, const struct iovec *pieces, int count, off_t offset) { return wrote(descriptor, pieces, count, offset, 0); }
ssize_t pwritev64v2(int descriptor, const struct iovec *pieces, int count, off64_t offset, int flags) { return wrote(descriptor, pieces, count, offset, flags); }
ssize_t pwritev2(int descriptor, const struct iovec *pieces, int count, off_t offset, int flags) { return wrote(descriptor, pieces, count, offset, flags); }

int ftruncate64(int descriptor, off64_t length) {
  REAL(int, "ftruncate64", int, off64_t);
  struct stat status;
  char buffer[PATH_MAX];
  if (!of(descriptor, &status, buffer)) return real(descriptor, length);
  lock();
  int found = is_refused() ? -1 : real(descriptor, length), error = errno;
  if (!found) note_name(TRUNCATE, NULL, status.st_ino, length);
  unlock();
  errno = error;
  return found;
}
int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

int truncate64(const char *name, off64_t length) {
  REAL(int, "truncate64", const char *, off64_t);
  char buffer[PATH_MAX];
  if (below(AT_FDCWD, name, buffer)) foreign("truncate");
  return real(name, length);
}
int truncate(const char *name, off_t length) { return truncate64(name, length); }

int fallocate64(int descriptor, int mode, off64_t offset, off64_t length) {
  REAL(int, "fallocate64", int, int, off64_t, off64_t);
  struct stat status;
  char buffer[PATH_MAX];
  if (!of(descriptor, &status, buffer)) return real(descriptor, mode, offset, length);
  lock();
  int found = is_refused() ? -1 : real(descriptor, mode, offset, length), error = errno;
  if (!found) {
    if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) note(PUNCH, NULL, NULL, NULL, status.st_ino, offset, length, 0, NULL, 0, 0);
    else note_name(FOREIGN, "fallocate", 0, 0);
  }
  unlock();
  errno = error;
  return found;
}
int fallocate(int descriptor, int mode, off_t offset, off_t length) { return fallocate64(descriptor, mode, offset, length); }

int posix_fallocate64(int descriptor, off64_t offset, off64_t length) {
  REAL(int, "posix_fallocate64", int, off64_t, off64_t);
  struct stat status;
  char buffer[PATH_MAX];
  if (of(descriptor, &status, buffer)) foreign("posix_fallocate");
  return real(descriptor, offset, length);
}
int posix_fallocate(int descriptor, off_t offset, off_t length) { return posix_fallocate64(descriptor, offset, length); }

void *mmap64(void *address, size_t size, int protection, int flags, int descriptor, off64_t offset) {
  REAL(void *, "mmap64", void *, size_t, int, int, int, off64_t);
  struct stat status;
  char buffer[PATH_MAX];
  if (descriptor >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
    const char *path = of(descriptor, &status, buffer);
    size_t length = path ? strlen(path) : 0;
    /* the index of SQLite's log is made anew by whoever opens the database first */
    if (path && (length < 4 || strcmp(path + length - 4, "-shm"))) foreign("mmap");
  }
  return real(address, size, protection, flags, descriptor, offset);
}
void *mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset) {
  return mmap64(address, size, protection, flags, descriptor, offset);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
  REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
  if (is_ours(out)) foreign("sendfile");
  return real(out, in, offset, count);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t count) { return sendfile64(out, in, (off64_t *)offset, count); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags) {
  REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
  if (is_ours(out)) foreign("copy_file_range");
  return real(in, from, out, to, count, flags);
}

/* -- durability */

static int is_sqlite(const void *caller) {
  Dl_info found;
  return dladdr(caller, &found) && found.dli_fname && strstr(found.dli_fname, "sqlite3.so") != NULL;
}

static int synced(int descriptor, const void *caller) {
  struct stat status;
  char buffer[PATH_MAX];
  const char *path = of(descriptor, &status, buffer);
  if (!path) return fcntl(descriptor, F_GETFD) < 0 ? -1 : 0;
  if (slowest) usleep((useconds_t)((unsigned)rand_r(&chance) % slowest));
  lock();
  int fails = (rule_fails && is_due("sync", path)) || shared->refusal == EIO;
  note(fails ? FAILED : SYNC, path, NULL, site, status.st_ino, 0, 0, is_sqlite(caller), NULL, 0, 0);
  site[0] = 0;
  end_if_due("sync", path);
  unlock();
  if (fails) errno = EIO;
  return fails ? -1 : 0;
}

int fsync(int descriptor) { return synced(descriptor, __builtin_return_address(0)); }
int fdatasync(int descriptor) { return synced(descriptor, __builtin_return_address(0)); }
int syncfs(int descriptor) {
  struct stat status;
  char buffer[PATH_MAX];
  if (of(descriptor, &status, buffer)) foreign("syncfs");
  return 0;
}
void sync(void) {
  if (shared) foreign("sync");
}
