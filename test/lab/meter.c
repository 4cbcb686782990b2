/*
 * Traffic for the lab, with little CPU: under TCG an interpreter that sends a datagram every millisecond
 * disturbs what it measures. Every mode prints one line of JSON at its end. Compiled by parts.sh with tcc.
 *
 *   meter pace FROM TO PORT INTERVAL_US COUNT START_NS GRACE_MS
 *       One end of a conversation: COUNT numbered datagrams at a fixed pace, and the account of those that
 *       came from the other end, which runs the same the other way round. START_NS is CLOCK_MONOTONIC's.
 *       SIGTERM ends the sending early; what is under way is waited for all the same.
 *   meter flood FROM TO PORT BITS_PER_SECOND DATAGRAM_BYTES DURATION_MS
 *       Datagrams at a rate (of UDP payload), without a look at what arrives. 0 ms: until killed.
 *   meter sink PORT WINDOW_MS DURATION_MS
 *       Counts the UDP payload and the TCP stream bytes that come to PORT, by windows of time.
 *   meter stream FROM TO PORT DURATION_MS
 *       One TCP connection that sends as fast as it can.
 *   meter watch INTERFACE DURATION_MS
 *       Counts the frames that an interface takes in, those that carry its own address as source, and those
 *       that came twice within 50 ms.
 *   meter frames INTERFACE COUNT HEX
 *       Sends a frame, whole as given, so many times out of an interface, as a daemon of a link protocol does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000LL
#define NS_PER_S 1000000000LL

static volatile sig_atomic_t ended;

static void end(int signal_number) { ended = signal_number; }

static void die(const char *what) {
  fprintf(stderr, "meter: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void sleep_until(int64_t at_ns) {
  struct timespec t;
  t.tv_sec = at_ns / NS_PER_S;
  t.tv_nsec = at_ns % NS_PER_S;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR && !ended);
}

static socklen_t parse_address(const char *text, int port, struct sockaddr_storage *address) {
  struct sockaddr_in *v4 = (struct sockaddr_in *)address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
  memset(address, 0, sizeof *address);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return sizeof *v4;
  }
  if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
  }
  fprintf(stderr, "meter: not an address: %s\n", text);
  exit(2);
  return 0;
}

/* A socket bound to FROM and connected to TO; port 0 for FROM lets the kernel choose. */
static int open_between(int type, const char *from, int from_port, const char *to, int port) {
  struct sockaddr_storage address;
  int one = 1, megabytes = 8 << 20;
  socklen_t length = parse_address(from, from_port, &address);
  int fd = socket(address.ss_family, type, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &megabytes, sizeof megabytes);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &megabytes, sizeof megabytes);
  if (bind(fd, (struct sockaddr *)&address, length) < 0) die("bind");
  length = parse_address(to, port, &address);
  /* Who is to listen may have been started a moment ago, too. */
  for (int tries = 0; connect(fd, (struct sockaddr *)&address, length) < 0; tries++) {
    if (errno != ECONNREFUSED || tries == 100 || ended) die("connect");
    sleep_until(now_ns() + NS_PER_S / 20);
  }
  return fd;
}

/* ---- pace ---- */

struct numbered {
  uint32_t magic;
  uint32_t number;
  /* 60 bytes in all with Ethernet, IPv4 and UDP: the smallest frame there is. */
  char padding[10];
};

#define MAGIC 0x75706c6b

struct account {
  uint32_t count;
  uint32_t received, duplicates, reordered, next;
  unsigned char *seen;
  int64_t last_ns, longest_silence_ns;
};

static void take(struct account *account, int fd) {
  struct numbered datagram;
  for (;;) {
    ssize_t length = recv(fd, &datagram, sizeof datagram, MSG_DONTWAIT);
    if (length < 0) {
      /* ECONNREFUSED: the other end was not there yet, or has ended. */
      if (errno == EAGAIN || errno == EINTR) return;
      continue;
    }
    if (length != sizeof datagram || datagram.magic != MAGIC || datagram.number >= account->count) continue;
    if (account->seen[datagram.number]) {
      account->duplicates++;
      continue;
    }
    int64_t now = now_ns();
    if (account->received && now - account->last_ns > account->longest_silence_ns)
      account->longest_silence_ns = now - account->last_ns;
    account->last_ns = now;
    account->seen[datagram.number] = 1;
    account->received++;
    if (datagram.number < account->next) account->reordered++;
    else account->next = datagram.number + 1;
  }
}

/* Datagrams in a row that were sent late, and how late the worst of them. Beyond the limit the last span grows. */
struct late_span {
  uint32_t first, count;
  int64_t worst_ns;
};

#define LATE_NS (2 * NS_PER_MS)
#define MAX_LATE_SPANS 50000

static int pace(char **args) {
  int64_t interval_ns = atoll(args[3]) * 1000, start_ns = atoll(args[5]);
  struct account account;
  memset(&account, 0, sizeof account);
  account.count = atoi(args[4]);
  account.seen = calloc(account.count + 1, 1);
  int fd = open_between(SOCK_DGRAM, args[0], atoi(args[2]), args[1], atoi(args[2]));
  uint32_t sent = 0, refused = 0, latest = 0, late_spans = 0;
  int64_t latest_ns = 0;
  static struct late_span late[MAX_LATE_SPANS];
  struct numbered datagram;
  memset(&datagram, 0, sizeof datagram);
  datagram.magic = MAGIC;
  for (uint32_t number = 0; number < account.count && !ended; number++) {
    int64_t due_ns = start_ns + number * interval_ns;
    sleep_until(due_ns);
    int64_t late_ns = now_ns() - due_ns;
    if (late_ns > latest_ns) {
      latest_ns = late_ns;
      latest = number;
    }
    if (late_ns >= LATE_NS) {
      struct late_span *span = late_spans > 0 ? &late[late_spans - 1] : NULL;
      if (span != NULL && (span->first + span->count == number || late_spans == MAX_LATE_SPANS)) {
        span->count = number - span->first + 1;
        if (late_ns > span->worst_ns) span->worst_ns = late_ns;
      } else late[late_spans++] = (struct late_span){number, 1, late_ns};
    }
    datagram.number = number;
    /* A pending ICMP error is told once, instead of sending: the second try sends. */
    if (send(fd, &datagram, sizeof datagram, 0) < 0 && send(fd, &datagram, sizeof datagram, 0) < 0) refused++;
    else sent++;
    take(&account, fd);
  }
  int64_t grace_end_ns = now_ns() + atoll(args[6]) * NS_PER_MS;
  while (now_ns() < grace_end_ns) {
    sleep_until(now_ns() + NS_PER_MS);
    take(&account, fd);
  }
  printf("{\"sent\":%u,\"refused\":%u,\"latestMs\":%lld,\"latest\":%u,\"received\":%u,\"duplicates\":%u,\"reordered\":%u,"
         "\"longestSilenceMs\":%lld,\"next\":%u,\"missing\":[",
         sent, refused, (long long)(latest_ns / NS_PER_MS), latest, account.received, account.duplicates,
         account.reordered, (long long)(account.longest_silence_ns / NS_PER_MS), account.next);
  const char *comma = "";
  for (uint32_t number = 0; number < account.next; number++) {
    uint32_t first = number;
    while (number < account.next && !account.seen[number]) number++;
    if (number > first) {
      printf("%s[%u,%u]", comma, first, number - first);
      comma = ",";
    }
  }
  printf("],\"late\":[");
  for (uint32_t index = 0; index < late_spans; index++)
    printf("%s[%u,%u,%lld]", index > 0 ? "," : "", late[index].first, late[index].count,
           (long long)(late[index].worst_ns / NS_PER_MS));
  printf("]}\n");
  return 0;
}

/* ---- flood ---- */

#define BATCH 64

static int flood(char **args) {
  int64_t bits_per_second = atoll(args[3]), duration_ns = atoll(args[5]) * NS_PER_MS;
  int size = atoi(args[4]);
  int fd = open_between(SOCK_DGRAM, args[0], 0, args[1], atoi(args[2]));
  char *payload = calloc(size, 1);
  struct iovec part;
  part.iov_base = payload;
  part.iov_len = size;
  struct mmsghdr batch[BATCH];
  memset(batch, 0, sizeof batch);
  for (int i = 0; i < BATCH; i++) {
    batch[i].msg_hdr.msg_iov = &part;
    batch[i].msg_hdr.msg_iovlen = 1;
  }
  int64_t start_ns = now_ns(), sent = 0, tick_ns = start_ns;
  while (!ended && (duration_ns == 0 || now_ns() - start_ns < duration_ns)) {
    /* What is due by now, so that a late tick is made up for. */
    int64_t elapsed_us = (now_ns() - start_ns) / 1000;
    int64_t due = elapsed_us * bits_per_second / (8000000LL * size) + 1;
    while (sent < due && !ended) {
      int64_t left = due - sent;
      int done = sendmmsg(fd, batch, left < BATCH ? left : BATCH, 0);
      /* A refusal by the other end, or a full queue, costs the one datagram. */
      sent += done > 0 ? done : 1;
    }
    tick_ns += NS_PER_MS;
    if (tick_ns < now_ns()) tick_ns = now_ns();
    sleep_until(tick_ns);
  }
  printf("{\"datagrams\":%lld,\"bytes\":%lld,\"elapsedMs\":%lld}\n", (long long)sent, (long long)(sent * size),
         (long long)((now_ns() - start_ns) / NS_PER_MS));
  return 0;
}

/* ---- sink ---- */

#define MAX_STREAMS 64

static int listen_on(int type, int port) {
  struct sockaddr_storage address;
  int one = 1, megabytes = 8 << 20;
  socklen_t length = parse_address("::", port, &address);
  int fd = socket(AF_INET6, type | SOCK_NONBLOCK, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &megabytes, sizeof megabytes);
  if (bind(fd, (struct sockaddr *)&address, length) < 0) die("bind");
  if (type == SOCK_STREAM && listen(fd, MAX_STREAMS) < 0) die("listen");
  return fd;
}

static int64_t drain(int fd, int *datagrams) {
  static char buffer[256 << 10];
  int64_t bytes = 0;
  for (;;) {
    ssize_t length = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);
    if (length <= 0) return bytes;
    bytes += length;
    (*datagrams)++;
  }
}

static int sink(char **args) {
  int port = atoi(args[0]);
  int64_t window_ns = atoll(args[1]) * NS_PER_MS, duration_ns = atoll(args[2]) * NS_PER_MS;
  struct pollfd fds[2 + MAX_STREAMS];
  int count = 2, datagrams = 0;
  fds[0].fd = listen_on(SOCK_DGRAM, port);
  fds[1].fd = listen_on(SOCK_STREAM, port);
  fds[0].events = fds[1].events = POLLIN;
  int64_t start_ns = now_ns(), window_end_ns = start_ns + window_ns, total = 0, in_window = 0;
  const char *comma = "";
  printf("{\"windows\":[");
  while (!ended && (duration_ns == 0 || now_ns() - start_ns < duration_ns)) {
    /* A few milliseconds at a time: many small datagrams cost one wake-up. */
    sleep_until(now_ns() + 2 * NS_PER_MS);
    poll(fds, count, 0);
    int64_t bytes = drain(fds[0].fd, &datagrams);
    if (fds[1].revents && count < 2 + MAX_STREAMS) {
      int stream = accept(fds[1].fd, NULL, NULL);
      if (stream >= 0) {
        fds[count].fd = stream;
        fds[count].events = POLLIN;
        fds[count++].revents = 0;
      }
    }
    int ignored = 0;
    for (int i = 2; i < count; i++)
      if (fds[i].revents) bytes += drain(fds[i].fd, &ignored);
    total += bytes;
    in_window += bytes;
    while (window_ns > 0 && now_ns() >= window_end_ns) {
      printf("%s%lld", comma, (long long)in_window);
      comma = ",";
      in_window = 0;
      window_end_ns += window_ns;
    }
  }
  printf("],\"bytes\":%lld,\"datagrams\":%d,\"elapsedMs\":%lld}\n", (long long)total, datagrams,
         (long long)((now_ns() - start_ns) / NS_PER_MS));
  return 0;
}

/* ---- stream ---- */

static int stream(char **args) {
  static char payload[64 << 10];
  int64_t duration_ns = atoll(args[3]) * NS_PER_MS, start_ns = now_ns(), bytes = 0;
  int fd = open_between(SOCK_STREAM, args[0], 0, args[1], atoi(args[2]));
  struct pollfd writable;
  writable.fd = fd;
  writable.events = POLLOUT;
  while (!ended && (duration_ns == 0 || now_ns() - start_ns < duration_ns)) {
    if (poll(&writable, 1, 100) <= 0) continue;
    ssize_t length = send(fd, payload, sizeof payload, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (length > 0) bytes += length;
    else if (errno != EAGAIN && errno != EINTR) die("send");
  }
  printf("{\"bytes\":%lld,\"elapsedMs\":%lld}\n", (long long)bytes, (long long)((now_ns() - start_ns) / NS_PER_MS));
  return 0;
}

/* ---- watch ---- */

#define RECENT 4096
#define TWICE_NS (50 * NS_PER_MS)

struct sighting {
  uint64_t hash;
  int64_t at_ns;
};

static uint64_t hash_frame(const unsigned char *frame, int length) {
  uint64_t hash = 14695981039346656037ULL;
  for (int i = 0; i < length; i++) hash = (hash ^ frame[i]) * 1099511628211ULL;
  return hash;
}

static int watch(char **args) {
  static struct sighting recent[RECENT];
  static unsigned char frame[2048];
  int64_t duration_ns = atoll(args[1]) * NS_PER_MS, start_ns = now_ns();
  int megabytes = 16 << 20, next = 0;
  struct ifreq request;
  struct sockaddr_ll address;
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &megabytes, sizeof megabytes);
  memset(&request, 0, sizeof request);
  strncpy(request.ifr_name, args[0], IFNAMSIZ - 1);
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) die(args[0]);
  memset(&address, 0, sizeof address);
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = if_nametoindex(args[0]);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
  long frames = 0, reflected = 0, twice = 0;
  struct pollfd readable;
  readable.fd = fd;
  readable.events = POLLIN;
  while (!ended && (duration_ns == 0 || now_ns() - start_ns < duration_ns)) {
    if (poll(&readable, 1, 20) <= 0) continue;
    socklen_t size = sizeof address;
    int length = recvfrom(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&address, &size);
    if (length < 14 || address.sll_pkttype == PACKET_OUTGOING) continue;
    frames++;
    if (memcmp(frame + 6, request.ifr_hwaddr.sa_data, 6) == 0) reflected++;
    uint64_t hash = hash_frame(frame, length);
    int64_t now = now_ns();
    for (int i = 0; i < RECENT; i++) {
      struct sighting *seen = &recent[(next - 1 - i + RECENT) % RECENT];
      if (now - seen->at_ns > TWICE_NS) break;
      if (seen->hash == hash) {
        twice++;
        break;
      }
    }
    recent[next].hash = hash;
    recent[next].at_ns = now;
    next = (next + 1) % RECENT;
  }
  printf("{\"frames\":%ld,\"reflected\":%ld,\"twice\":%ld}\n", frames, reflected, twice);
  return 0;
}

/* ---- frames ---- */

static int frames(char **args) {
  static unsigned char frame[1514];
  struct sockaddr_ll address;
  int length = 0, sent = 0;
  for (const char *digits = args[2]; digits[0] && digits[1] && length < (int)sizeof frame; digits += 2) {
    unsigned int byte;
    if (sscanf(digits, "%2x", &byte) != 1) die("frame");
    frame[length++] = byte;
  }
  int fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) die("socket");
  memset(&address, 0, sizeof address);
  address.sll_family = AF_PACKET;
  address.sll_ifindex = if_nametoindex(args[0]);
  /* What is no type is a length: LLC, by the name that the kernel and spanning tree daemons give it. */
  int type = frame[12] << 8 | frame[13];
  address.sll_protocol = htons(type < ETH_P_802_3_MIN ? ETH_P_802_2 : type);
  for (int number = 0; number < atoi(args[1]); number++) {
    if (sendto(fd, frame, length, 0, (struct sockaddr *)&address, sizeof address) < 0) die("sendto");
    sent++;
  }
  printf("{\"sent\":%d}\n", sent);
  return 0;
}

int main(int count, char **args) {
  static const struct {
    const char *name;
    int arguments;
    int (*run)(char **);
  } modes[] = {{"pace", 7, pace}, {"flood", 6, flood}, {"sink", 3, sink}, {"stream", 4, stream}, {"watch", 2, watch},
               {"frames", 3, frames}};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = end;
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
    if (count - 2 == modes[i].arguments && strcmp(args[1], modes[i].name) == 0) return modes[i].run(args + 2);
  fprintf(stderr, "meter: pace, flood, sink, stream, watch or frames; their arguments are in meter.c\n");
  return 2;
}
