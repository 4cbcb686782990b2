/*
 * The least that programming the kernel can cost: sends prepared netlink bytes and reads the answers, nothing else.
 * Built by the benchmark with tcc, never shipped.
 *
 *   replay FILE     FILE: for each send a 32-bit length and its bytes; the last message of each asks for an answer
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
  fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static char *read_file(const char *name, long *size) {
  FILE *file = fopen(name, "rb");
  if (!file) die(name);
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  char *bytes = malloc(*size);
  if (fread(bytes, 1, *size, file) != *size) die(name);
  return bytes;
}

int main(int count, char **args) {
  static char answer[256 << 10];
  int megabytes = 4 << 20, one = 1, refused = 0, sends = 0;
  long size;
  if (count != 2) return 2;
  char *bytes = read_file(args[1], &size);
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  struct sockaddr_nl address;
  memset(&address, 0, sizeof address);
  address.nl_family = AF_NETLINK;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &megabytes, sizeof megabytes);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &megabytes, sizeof megabytes);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  double start = now_ms();
  for (long at = 0; at < size; sends++) {
    uint32_t length, last = 0;
    memcpy(&length, bytes + at, 4);
    at += 4;
    for (uint32_t offset = 0; offset < length;) {
      struct nlmsghdr *message = (struct nlmsghdr *)(bytes + at + offset);
      last = message->nlmsg_seq;
      offset += NLMSG_ALIGN(message->nlmsg_len);
    }
    if (send(fd, bytes + at, length, 0) < 0) die("send");
    at += length;
    for (int done = 0; !done;) {
      int got = recv(fd, answer, sizeof answer, 0);
      if (got < 0) die("recv");
      for (struct nlmsghdr *m = (struct nlmsghdr *)answer; NLMSG_OK(m, got); m = NLMSG_NEXT(m, got)) {
        if (m->nlmsg_type != NLMSG_ERROR) continue;
        if (((struct nlmsgerr *)NLMSG_DATA(m))->error) refused++;
        if (m->nlmsg_seq == last) done = 1;
      }
    }
  }
  printf("{\"elapsedMs\":%.3f,\"sends\":%d,\"refused\":%d}\n", now_ms() - start, sends, refused);
  return 0;
}
