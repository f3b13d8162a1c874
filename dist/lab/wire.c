/* northwall-wire - the links between the hosts of northwall-lab.
 *
 *   northwall-wire RATE LATENCY HOST...      bytes a second, nanoseconds, network namespaces by name
 *
 * Each host gets an interface eth0 (a TUN device). A packet that it sends takes the host's port, one packet after the
 * other, for its bytes at RATE, and is handed to the host whose address it names LATENCY later:
 *
 *   port free = max(now, port free) + bytes / rate          arrival = port free + latency
 *
 * So even a packet that finds the port idle takes its own time first. A token bucket (tc tbf, htb) lets that one
 * through and is busy afterwards: a message of one packet, as a decoder's are, passes it unshaped. Due times follow
 * from each other, not from when this process woke up, so that a late wake-up delays one packet and not all behind it.
 *
 * Hosts are numbered from 0 in the order given; host i has the addresses that end in i + 1. A packet counts with what
 * Ethernet puts around it. Ends with SIGTERM, or when its parent does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    HOSTS_MAX = 64,
    PACKET_MAX = 1500, /* of a TUN device that nobody has given another MTU */
    FRAME = 38, /* Ethernet: preamble 8, header 14, checksum 4, gap 12 */
    QUEUE = 1 << 14, /* packets under way from one host; the next ones stay with it */
    PACKETS_AT_ONCE = 64, /* read from one host before others are looked at */
};

struct packet {
    int64_t due_ns;
    int to, bytes;
    unsigned char data[PACKET_MAX];
};

/* A host's port: a ring of packets, in the order in which they are due. */
struct port {
    int fd;
    int64_t free_ns;
    uint64_t first, end;
    struct packet *ring;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int enter(const char *space) {
    int fd = open(space, O_RDONLY | O_CLOEXEC), rc = fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
    if (fd >= 0) close(fd);
    return rc;
}

static int port_open(struct port *p, const char *host) {
    struct ifreq device = {.ifr_name = "eth0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    char space[128];
    snprintf(space, sizeof space, "/run/netns/%s", host);
    if (enter(space) != 0) return -1;
    p->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    p->ring = malloc(QUEUE * sizeof *p->ring);
    return p->fd < 0 || !p->ring ? -1 : ioctl(p->fd, TUNSETIFF, &device);
}

/* Of an IPv4 packet: the host that its destination's last byte names; -1: of none. */
static int host_of(const unsigned char *ip, ssize_t bytes, int n) {
    int host = bytes >= 20 && ip[0] >> 4 == 4 ? ip[19] - 1 : -1;
    return host < n ? host : -1;
}

/* Takes what a host has sent. */
static void port_read(struct port *p, int n, double ns_per_byte, int64_t latency_ns) {
    for (int i = 0; i < PACKETS_AT_ONCE && p->end - p->first < QUEUE; i++) {
        struct packet *k = &p->ring[p->end % QUEUE];
        ssize_t bytes = read(p->fd, k->data, sizeof k->data);
        if (bytes <= 0) return;
        k->to = host_of(k->data, bytes, n);
        if (k->to < 0) continue;
        int64_t now = now_ns();
        p->free_ns = (p->free_ns > now ? p->free_ns : now) + (int64_t)((double)(bytes + FRAME) * ns_per_byte);
        k->due_ns = p->free_ns + latency_ns;
        k->bytes = (int)bytes;
        p->end++;
    }
}

/* Hands over what is due. Returns when the next is, or INT64_MAX. */
static int64_t ports_deliver(struct port *ports, int n) {
    int64_t next = INT64_MAX;
    for (int i = 0; i < n; i++) {
        struct port *p = &ports[i];
        for (; p->first < p->end; p->first++) {
            struct packet *k = &p->ring[p->first % QUEUE];
            if (k->due_ns > now_ns()) break;
            if (write(ports[k->to].fd, k->data, (size_t)k->bytes) < 0) continue; /* that host's interface is down */
        }
        if (p->first < p->end && p->ring[p->first % QUEUE].due_ns < next) next = p->ring[p->first % QUEUE].due_ns;
    }
    return next;
}

static void run(struct port *ports, int n, double ns_per_byte, int64_t latency_ns) {
    struct pollfd fds[HOSTS_MAX];
    for (;;) {
        int64_t next = ports_deliver(ports, n), wait = next - now_ns();
        struct timespec t = {wait / 1000000000, wait % 1000000000};
        for (int i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = ports[i].fd, .events = ports[i].end - ports[i].first < QUEUE ? POLLIN : 0};
        if (next != INT64_MAX && wait <= 0) t = (struct timespec){0, 0};
        ppoll(fds, (nfds_t)n, next == INT64_MAX ? NULL : &t, NULL);
        for (int i = 0; i < n; i++)
            if (fds[i].revents & POLLIN) port_read(&ports[i], n, ns_per_byte, latency_ns);
    }
}

int main(int argc, char **argv) {
    static struct port ports[HOSTS_MAX];
    int n = argc - 3;
    double rate = argc > 3 ? strtod(argv[1], NULL) : 0;
    if (n < 1 || n > HOSTS_MAX || !(rate > 0)) {
        fprintf(stderr, "usage: northwall-wire BYTES_A_SECOND LATENCY_NS HOST... (at most %d)\n", HOSTS_MAX);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* Ranks that spin would keep it from a processor for milliseconds; its own work is some us a packet. */
    struct sched_param urgent = {.sched_priority = 2};
    sched_setscheduler(0, SCHED_FIFO, &urgent);
    for (int i = 0; i < n; i++)
        if (port_open(&ports[i], argv[3 + i]) != 0) {
            fprintf(stderr, "northwall-wire: %s: %s\n", argv[3 + i], strerror(errno));
            return 1;
        }
    if (enter("/proc/1/ns/net") != 0) return 1; /* who ends all that a host has should not end its link */
    puts("ready");
    fflush(stdout);
    run(ports, n, 1e9 / rate, strtoll(argv[2], NULL, 10));
    return 0;
}
