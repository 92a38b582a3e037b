/*
 * A disk that forgets, as an LD_PRELOAD library: what was not synced is not in the shadow folder.
 *
 * LIGHTWIRE_WATCH   the folder that the process writes to
 * LIGHTWIRE_SHADOW  what a power cut leaves of it: content/<file>, and names, a line "<file> <name>" each
 * LIGHTWIRE_CUT     "<name>:<n>:before|after|refuse": at the n-th sync of that file the power goes, before anything
 *                   of it is durable or after all is; or the disk refuses this sync and all that follow
 *
 * A sync makes durable what the file held when the call BEGAN: what changed since the last one is copied then, while
 * no other thread can write, and written to the shadow when the real sync has ended. A name is durable once its folder
 * was synced. Only what existed when the process started is durable by itself. A process killed while it writes to the
 * shadow leaves a part of a sync there, as a power cut during a sync does.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Below PATH_MAX so that names can be added without being cut. */
#define FOLDER_MAX 1024
#define FILES_MAX 256

enum moment { NEVER, BEFORE, AFTER, REFUSE };

static char watch[FOLDER_MAX];
static char shadow[FOLDER_MAX];
static char cut_name[256];
static long cut_at;
static enum moment cut_moment;
static long cut_count;

/* Part of a file, from and to in bytes; when it is copied also its content. */
struct part {
  off_t from, to;
  char *content;
};

struct parts {
  struct part *items;
  size_t count, room;
};

/* What was written to a file since its last sync. One that is not known yet is dirty as a whole. */
struct file {
  char key[96];
  struct parts dirty;
};

static struct file files[FILES_MAX];
static size_t file_count;

/* Held by each write, and while content is copied: guards `files`. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
/* Held during a sync, so that an older copy never replaces a newer one. */
static pthread_mutex_t syncing = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

static void fail(const char *what) {
  fprintf(stderr, "forgetful: %s: %s\n", what, strerror(errno));
  abort();
}

/* The path of an open file inside the watched folder (the folder itself included), or 0. */
static int watched(int fd, char *path) {
  char link[64];
  if (watch[0] == 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  size_t prefix = strlen(watch);
  return strncmp(path, watch, prefix) == 0 && (path[prefix] == '/' || path[prefix] == 0);
}

/* Inode and birth: an inode number that is used again is another file. */
static void key_of(int folder, const char *name, int flags, char *key, size_t size) {
  struct statx facts;
  if (statx(folder, name, flags, STATX_INO | STATX_BTIME, &facts) != 0) fail("statx");
  snprintf(key, size, "%llu-%lld-%u", (unsigned long long)facts.stx_ino, (long long)facts.stx_btime.tv_sec,
           facts.stx_btime.tv_nsec);
}

static void add_part(struct parts *parts, off_t from, off_t to) {
  struct part *last = parts->count > 0 ? &parts->items[parts->count - 1] : NULL;
  if (last && from >= last->from && from <= last->to) {
    if (to > last->to) last->to = to;
    return;
  }
  if (parts->count == parts->room) {
    parts->room = parts->room * 2 + 16;
    parts->items = realloc(parts->items, parts->room * sizeof *parts->items);
    if (!parts->items) fail("realloc");
  }
  parts->items[parts->count++] = (struct part){from, to, NULL};
}

static struct file *file_of(int fd) {
  char key[96];
  key_of(fd, "", AT_EMPTY_PATH, key, sizeof key);
  for (size_t n = 0; n < file_count; n++)
    if (strcmp(files[n].key, key) == 0) return &files[n];
  if (file_count == FILES_MAX) fail("too many files");
  struct file *added = &files[file_count++];
  strcpy(added->key, key);
  add_part(&added->dirty, 0, LLONG_MAX);
  return added;
}

static int create(const char *path, int flags) {
  int out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
  if (out < 0) fail("create");
  return out;
}

/*
 * Takes the dirty parts as they are now. Reads through the caller's own descriptor: closing another one would drop
 * SQLite's locks on the file.
 */
static struct parts copy_dirty(int fd, const char *path, struct file *file, off_t *size) {
  struct stat facts;
  if (fstat(fd, &facts) != 0) fail("fstat");
  *size = facts.st_size;
  int write_only = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
  int in = write_only ? open(path, O_RDONLY | O_CLOEXEC) : fd;
  if (in < 0) fail("open");
  struct parts taken = file->dirty;
  file->dirty = (struct parts){0};
  for (size_t n = 0; n < taken.count; n++) {
    struct part *part = &taken.items[n];
    if (part->to > *size) part->to = *size;
    if (part->from >= part->to) continue;
    size_t length = part->to - part->from;
    part->content = malloc(length);
    if (!part->content || pread(in, part->content, length, part->from) != (ssize_t)length) fail("pread");
  }
  if (write_only) close(in);
  return taken;
}

static void keep_parts(const char *durable, struct parts *taken, off_t size, int synced) {
  int out = synced ? create(durable, 0) : -1;
  for (size_t n = 0; n < taken->count; n++) {
    struct part *part = &taken->items[n];
    ssize_t length = part->to - part->from;
    if (synced && part->content && real_pwrite(out, part->content, length, part->from) != length) fail("keep");
    free(part->content);
  }
  free(taken->items);
  if (!synced) return;
  if (real_ftruncate(out, size) != 0) fail("ftruncate");
  close(out);
}

static void copy_names(const char *copy) {
  int out = create(copy, O_TRUNC);
  DIR *folder = opendir(watch);
  if (!folder) fail("opendir");
  for (struct dirent *entry; (entry = readdir(folder));) {
    char key[96], line[512];
    if (entry->d_type != DT_REG) continue;
    key_of(dirfd(folder), entry->d_name, 0, key, sizeof key);
    int length = snprintf(line, sizeof line, "%s %s\n", key, entry->d_name);
    if (real_write(out, line, length) != length) fail("names");
  }
  closedir(folder);
  close(out);
}

static int keep_folder(int fd, int (*real)(int)) {
  char copy[PATH_MAX], durable[PATH_MAX];
  snprintf(copy, sizeof copy, "%s/names-taken", shadow);
  snprintf(durable, sizeof durable, "%s/names", shadow);
  copy_names(copy);
  int result = real ? real(fd) : 0;
  if (result == 0 && rename(copy, durable) != 0) fail("rename");
  return result;
}

/* Without `real`, the file is durable already. */
static int keep_file(int fd, const char *path, int (*real)(int)) {
  char durable[PATH_MAX];
  off_t size;
  pthread_mutex_lock(&writing);
  struct file *file = file_of(fd);
  snprintf(durable, sizeof durable, "%s/content/%s", shadow, file->key);
  struct parts taken = copy_dirty(fd, path, file, &size);
  pthread_mutex_unlock(&writing);
  int result = real ? real(fd) : 0;
  keep_parts(durable, &taken, size, result == 0);
  return result;
}

static enum moment moment_of(const char *path) {
  const char *name = strrchr(path, '/');
  if (cut_moment == NEVER || !name || strncmp(name + 1, cut_name, strlen(cut_name)) != 0) return NEVER;
  // A name that ends in a dot stands for all that begin with it; any other for itself.
  if (cut_name[strlen(cut_name) - 1] != '.' && strcmp(name + 1, cut_name) != 0) return NEVER;
  cut_count += 1;
  if (cut_count == cut_at || (cut_count > cut_at && cut_moment == REFUSE)) return cut_moment;
  return NEVER;
}

static void power_off(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int sync_file(int fd, int (*real)(int)) {
  char path[PATH_MAX];
  if (!watched(fd, path)) return real(fd);
  pthread_mutex_lock(&syncing);
  enum moment moment = moment_of(path);
  if (moment == BEFORE) power_off();
  int result = -1;
  if (moment == REFUSE) errno = EIO;
  else result = strcmp(path, watch) == 0 ? keep_folder(fd, real) : keep_file(fd, path, real);
  if (moment == AFTER) power_off();
  pthread_mutex_unlock(&syncing);
  return result;
}

int fsync(int fd) { return sync_file(fd, real_fsync); }
int fdatasync(int fd) { return sync_file(fd, real_fdatasync); }

/* A change of a watched file is noted, and waits while content is copied. */
#define NOTED(type, from, to, call)                   \
  char path[PATH_MAX];                                \
  if (!watched(fd, path)) return call;                \
  pthread_mutex_lock(&writing);                       \
  add_part(&file_of(fd)->dirty, from, to);            \
  type result = call;                                 \
  pthread_mutex_unlock(&writing);                     \
  return result

ssize_t write(int fd, const void *data, size_t size) { NOTED(ssize_t, 0, LLONG_MAX, real_write(fd, data, size)); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  NOTED(ssize_t, at, at + (off_t)size, real_pwrite(fd, data, size, at));
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  NOTED(ssize_t, at, at + (off64_t)size, real_pwrite(fd, data, size, at));
}
int ftruncate(int fd, off_t size) { NOTED(int, size, LLONG_MAX, real_ftruncate(fd, size)); }
int ftruncate64(int fd, off64_t size) { NOTED(int, size, LLONG_MAX, real_ftruncate(fd, size)); }

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) fail(name);
  return found;
}

static void read_cut(void) {
  const char *text = getenv("LIGHTWIRE_CUT");
  char word[16];
  if (!text || sscanf(text, "%255[^:]:%ld:%15s", cut_name, &cut_at, word) != 3) return;
  cut_moment = strcmp(word, "before") == 0 ? BEFORE : strcmp(word, "after") == 0 ? AFTER : REFUSE;
}

/* Before main, and so before anybody holds a lock: what is there now is durable. */
__attribute__((constructor)) static void begin(void) {
  real_write = real("write");
  real_pwrite = real("pwrite64");
  real_ftruncate = real("ftruncate64");
  real_fsync = real("fsync");
  real_fdatasync = real("fdatasync");
  const char *from = getenv("LIGHTWIRE_WATCH"), *to = getenv("LIGHTWIRE_SHADOW");
  if (!from || !to) return;
  if (!realpath(from, watch) || strlen(to) >= sizeof shadow) fail("LIGHTWIRE_WATCH and LIGHTWIRE_SHADOW");
  strcpy(shadow, to);
  read_cut();

  DIR *folder = opendir(watch);
  if (!folder) fail("opendir");
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_type != DT_REG) continue;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", watch, entry->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("open");
    keep_file(fd, path, NULL);
    close(fd);
  }
  closedir(folder);
  keep_folder(-1, NULL);
}
