/* Sends the frames of captures from one interface, at a rate or as fast as it goes.
 *
 *     sender INTERFACE BACKGROUND RATE SECONDS [MARKED]
 *
 * Frames of BACKGROUND are sent in order, from the start again when they end, so that RATE frames
 * a second leave in all (0: as many as can). Each frame of MARKED is sent once, when the time
 * since the start is that of its record. Both are little-endian microsecond captures of Ethernet
 * frames. Prints what was sent as a JSON object. Past the queueing discipline (packet(7)), as
 * only the receiver is of interest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, FILE_HEADER = 24, RECORD_HEADER = 16 };

struct capture {
    size_t frames;
    struct iovec *frame;
    double *seconds;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct capture read_capture(const char *path) {
    struct capture found = {0, NULL, NULL};
    struct stat about;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &about)) fail(path);
    size_t size = (size_t)about.st_size, room = 0;
    uint8_t *octets = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (octets == MAP_FAILED) fail(path);
    for (size_t at = FILE_HEADER; at + RECORD_HEADER <= size;) {
        uint32_t record[4]; /* seconds, microseconds, captured, on the wire */
        memcpy(record, octets + at, sizeof record);
        if (at + RECORD_HEADER + record[2] > size) break;
        if (found.frames == room) {
            room = room ? 2 * room : 1 << 16;
            found.frame = realloc(found.frame, room * sizeof *found.frame);
            found.seconds = realloc(found.seconds, room * sizeof *found.seconds);
            if (!found.frame || !found.seconds) fail("memory");
        }
        found.frame[found.frames].iov_base = octets + at + RECORD_HEADER;
        found.frame[found.frames].iov_len = record[2];
        found.seconds[found.frames++] = record[0] + record[1] * 1e-6;
        at += RECORD_HEADER + record[2];
    }
    if (!found.frames) fprintf(stderr, "%s: no frames\n", path), exit(1);
    return found;
}

int main(int count, char **given) {
    if (count < 5) {
        fprintf(stderr, "usage: sender INTERFACE BACKGROUND RATE SECONDS [MARKED]\n");
        return 64;
    }
    struct capture background = read_capture(given[2]), marked = {0, NULL, NULL};
    if (count > 5) marked = read_capture(given[5]);
    double rate = atof(given[3]), duration = atof(given[4]);

    int sender = socket(AF_PACKET, SOCK_RAW, 0), yes = 1;
    struct sockaddr_ll there = {.sll_family = AF_PACKET};
    there.sll_ifindex = (int)if_nametoindex(given[1]);
    if (sender < 0 || bind(sender, (struct sockaddr *)&there, sizeof there)) fail(given[1]);
    if (setsockopt(sender, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes)) fail("bypass");

    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof batch);
    for (int k = 0; k < BATCH; k++) batch[k].msg_hdr.msg_iovlen = 1;
    unsigned long sent = 0, refused = 0;
    size_t next = 0, due = 0;
    double start = now(), passed;
    while ((passed = now() - start) < duration) {
        int ready = 0;
        while (ready < BATCH && due < marked.frames && marked.seconds[due] <= passed)
            batch[ready++].msg_hdr.msg_iov = &marked.frame[due++];
        double wanted = rate > 0 ? rate * passed - (double)(sent + ready) : BATCH;
        for (; ready < BATCH && wanted >= 1; wanted--) {
            batch[ready++].msg_hdr.msg_iov = &background.frame[next];
            next = (next + 1) % background.frames;
        }
        if (!ready) {
            nanosleep(&(struct timespec){0, 50000}, NULL);
            continue;
        }
        for (int done = 0; done < ready;) {
            int taken = sendmmsg(sender, batch + done, (unsigned)(ready - done), 0);
            if (taken > 0) {
                done += taken;
            } else if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR) {
                refused++;
            } else {
                fail("sendmmsg");
            }
        }
        sent += (unsigned long)ready;
    }
    printf("{\"sent\": %lu, \"marked\": %zu, \"refused\": %lu, \"seconds\": %.3f}\n", sent, due,
           refused, now() - start);
    return 0;
}
