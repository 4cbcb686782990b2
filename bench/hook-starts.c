/*
 * Starts many programs as libvirtd starts its hooks: some at a time, each from a thread that writes the domain's XML to
 * it and waits for its end. Whoever else starts them is busy starting them, and its own work is taken for theirs.
 * Built by the benchmark with tcc, never shipped.
 *
 *   hook-starts COUNT WORKERS XML-FILE PROGRAM [ARGUMENT...]     prints each one's milliseconds, a line each
 *
 * %d in an argument stands for the number of the program's start, from 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 16, MAX_ARGUMENT_BYTES = 512 };

extern char **environ;
static char **program;
static char *xml;
static long xml_bytes;
static int count, next_start;
static double *times;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void die(const char *what) {
  fprintf(stderr, "hook-starts: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void run(int number) {
  static const char null_device[] = "/dev/null";
  char texts[MAX_ARGUMENTS][MAX_ARGUMENT_BYTES], *arguments[MAX_ARGUMENTS + 1];
  int ends[2], status, at = 0, error;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t signals;
  pid_t child;
  for (; program[at]; at++) {
    if (at == MAX_ARGUMENTS) exit(2);
    snprintf(texts[at], MAX_ARGUMENT_BYTES, program[at], number);
    arguments[at] = texts[at];
  }
  arguments[at] = NULL;
  double start_ms = now_ms();
  if (pipe2(ends, O_CLOEXEC) < 0) die("pipe");
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
  posix_spawn_file_actions_addopen(&actions, 1, null_device, O_WRONLY, 0);
  /* What we ignore isn't for it to ignore. */
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  error = posix_spawn(&child, arguments[0], &actions, &attributes, arguments, environ);
  close(ends[0]);
  if (error) {
    errno = error;
    die(arguments[0]);
  }
  /* One that doesn't read what it is given ends the writing. */
  for (long sent = 0; sent < xml_bytes;) {
    ssize_t part = write(ends[1], xml + sent, xml_bytes - sent);
    if (part <= 0) break;
    sent += part;
  }
  close(ends[1]);
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("waitpid");
  times[number] = now_ms() - start_ms;
  if (!WIFEXITED(status) || WEXITSTATUS(status)) {
    fprintf(stderr, "hook-starts: start %d of %s ended with status %d\n", number, arguments[0], status);
    exit(1);
  }
}

static void *work(void *none) {
  for (;;) {
    pthread_mutex_lock(&lock);
    int number = next_start++;
    pthread_mutex_unlock(&lock);
    if (number >= count) return NULL;
    run(number);
  }
}

int main(int argument_count, char **arguments) {
  if (argument_count < 5) return 2;
  count = atoi(arguments[1]);
  int workers = atoi(arguments[2]);
  FILE *file = fopen(arguments[3], "rb");
  if (!file) die(arguments[3]);
  fseek(file, 0, SEEK_END);
  xml_bytes = ftell(file);
  rewind(file);
  xml = malloc(xml_bytes);
  times = calloc(count, sizeof *times);
  pthread_t *threads = calloc(workers, sizeof *threads);
  if (fread(xml, 1, xml_bytes, file) != xml_bytes) die(arguments[3]);
  program = arguments + 4;
  signal(SIGPIPE, SIG_IGN);
  for (int at = 0; at < workers; at++)
    if ((errno = pthread_create(&threads[at], NULL, work, NULL))) die("pthread_create");
  for (int at = 0; at < workers; at++) pthread_join(threads[at], NULL);
  for (int at = 0; at < count; at++) printf("%.3f\n", times[at]);
  return 0;
}
