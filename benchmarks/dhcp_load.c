/*
 * A closed-loop load of DHCPv4 exchanges, as a relay would bring them: each of W conversations asks for an address for a
 * client that never asked before, takes what it is offered, and begins anew with the next client.
 *
 *   dhcp_load RELAY SERVERS SECONDS WINDOW FIRST_CLIENT LIMIT [REPEAT]
 *
 * RELAY and SERVERS are IPv4 addresses; the relay's is ours. Several servers, with commas between them, each get every
 * message, and the first offer is taken. LIMIT ends the run after so many exchanges; 0 does not. Prints one JSON object. A
 * conversation that hears nothing for REPEAT seconds (1) repeats its message, says for how long it has asked, and counts a
 * repeat.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { SERVERS_MAX = 4, WINDOW_MAX = 1024, BATCH = 64, MESSAGE_BYTES = 300, ANSWER_BYTES = 1600, OPTIONS_AT = 240 };
enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6 };
/* Latencies are counted in steps of 10 microseconds up to a second; the last step takes what is longer. */
enum { STEP_US = 10, STEP_COUNT = 100001 };

struct conversation {
    uint32_t client;
    int waits_for;
    double began_at, said_at;
    uint8_t message[MESSAGE_BYTES];
};

static struct conversation conversations[WINDOW_MAX];
static long latency_steps[STEP_COUNT];
static uint8_t relay[4];
static int wire, server_count;
static struct sockaddr_in servers[SERVERS_MAX];

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint8_t *put_option(uint8_t *at, uint8_t code, const void *value, uint8_t size)
{
    at[0] = code;
    at[1] = size;
    memcpy(at + 2, value, size);
    return at + 2 + size;
}

/* The transaction id carries the slot and a part of the client's number, so that an answer finds its conversation. */
static uint32_t transaction(int slot, uint32_t client)
{
    return (uint32_t)slot << 20 | (client & 0xFFFFF);
}

static void compose(struct conversation *it, int slot, uint8_t kind, const uint8_t *address, const uint8_t *server)
{
    static const uint8_t wanted[] = {1, 3, 6, 15};
    static const uint8_t cookie[] = {0x63, 0x82, 0x53, 0x63};
    uint8_t *message = it->message, *at = message + OPTIONS_AT;
    uint32_t xid = htonl(transaction(slot, it->client)), number = htonl(it->client);
    memset(message, 0, MESSAGE_BYTES);
    message[0] = message[1] = 1;
    message[2] = 6;
    message[3] = 1;
    memcpy(message + 4, &xid, 4);
    memcpy(message + 24, relay, 4);
    message[28] = 0x02;
    memcpy(message + 30, &number, 4);
    memcpy(message + 236, cookie, 4);
    at = put_option(at, 53, &kind, 1);
    if (address) {
        at = put_option(at, 50, address, 4);
        at = put_option(at, 54, server, 4);
    }
    at = put_option(at, 55, wanted, sizeof wanted);
    *at = 255;
}

static void say(struct conversation *it, double now)
{
    it->said_at = now;
    for (int i = 0; i < server_count; i++)
        if (sendto(wire, it->message, MESSAGE_BYTES, 0, (struct sockaddr *)&servers[i], sizeof servers[i]) < 0 &&
            errno != ECONNREFUSED && errno != EAGAIN && errno != EHOSTUNREACH) {
            perror("sendto");
            exit(1);
        }
}

static void begin(struct conversation *it, int slot, uint32_t client, double now)
{
    it->client = client;
    it->waits_for = OFFER;
    it->began_at = now;
    compose(it, slot, DISCOVER, NULL, NULL);
    say(it, now);
}

/* The message type of an answer, with where its server identifier stands; 0 when it is none of ours. */
static int kind_of(const uint8_t *answer, int size, const uint8_t **server)
{
    int kind = 0, at = OPTIONS_AT;
    *server = NULL;
    while (at + 1 < size && answer[at] != 255) {
        if (answer[at] == 0) {
            at++;
            continue;
        }
        if (answer[at] == 53)
            kind = answer[at + 2];
        if (answer[at] == 54)
            *server = answer + at + 2;
        at += 2 + answer[at + 1];
    }
    return kind;
}

static double percentile(long count, double share)
{
    long left = (long)((double)count * share);
    for (int step = 0; step < STEP_COUNT; step++) {
        if (left < latency_steps[step])
            return (double)(step + 1) * STEP_US / 1000.0;
        left -= latency_steps[step];
    }
    return 0;
}

int main(int count, char **words)
{
    if (count != 7 && count != 8) {
        fprintf(stderr, "dhcp_load RELAY SERVERS SECONDS WINDOW FIRST_CLIENT LIMIT [REPEAT]\n");
        return 2;
    }
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(67)};
    for (char *word = strtok(words[2], ","); word && server_count < SERVERS_MAX; word = strtok(NULL, ",")) {
        servers[server_count] = here;
        inet_pton(AF_INET, word, &servers[server_count++].sin_addr);
    }
    inet_pton(AF_INET, words[1], &here.sin_addr);
    memcpy(relay, &here.sin_addr, 4);
    double span = atof(words[3]), repeat_s = count == 8 ? atof(words[7]) : 1.0;
    int window = atoi(words[4]);
    uint32_t next = (uint32_t)strtoul(words[5], NULL, 0);
    long limit = atol(words[6]), done = 0, repeats = 0, refusals = 0;
    if (window < 1 || window > WINDOW_MAX)
        return 2;

    wire = socket(AF_INET, SOCK_DGRAM, 0);
    int buffer = 8 << 20;
    setsockopt(wire, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(wire, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    struct timeval patience = {0, 5000};
    setsockopt(wire, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(wire, (struct sockaddr *)&here, sizeof here)) {
        perror("bind");
        return 1;
    }
    static uint8_t answers[BATCH][ANSWER_BYTES];
    struct mmsghdr headers[BATCH];
    struct iovec places[BATCH];
    memset(headers, 0, sizeof headers);
    for (int i = 0; i < BATCH; i++) {
        places[i] = (struct iovec){answers[i], ANSWER_BYTES};
        headers[i].msg_hdr.msg_iov = &places[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }

    double began = seconds(), now = began, looked = began;
    for (int slot = 0; slot < window; slot++)
        begin(&conversations[slot], slot, next++, now);
    while (now - began < span && !(limit && done >= limit)) {
        int heard = recvmmsg(wire, headers, BATCH, MSG_WAITFORONE, NULL);
        now = seconds();
        for (int i = 0; i < heard; i++) {
            const uint8_t *answer = answers[i], *server;
            int size = (int)headers[i].msg_len, kind = size > OPTIONS_AT ? kind_of(answer, size, &server) : 0;
            uint32_t xid;
            memcpy(&xid, answer + 4, 4);
            xid = ntohl(xid);
            int slot = (int)(xid >> 20);
            if (!kind || slot >= window || xid != transaction(slot, conversations[slot].client))
                continue;
            struct conversation *it = &conversations[slot];
            if (kind == NAK) {
                refusals++;
                begin(it, slot, next++, now);
            } else if (kind == OFFER && it->waits_for == OFFER && server) {
                it->waits_for = ACK;
                compose(it, slot, REQUEST, answer + 16, server);
                say(it, now);
            } else if (kind == ACK && it->waits_for == ACK) {
                long step = (long)((now - it->began_at) * 1e6 / STEP_US);
                latency_steps[step < STEP_COUNT ? step : STEP_COUNT - 1]++;
                done++;
                begin(it, slot, next++, now);
            }
        }
        if (now - looked > 0.05) {
            looked = now;
            for (int slot = 0; slot < window; slot++)
                if (now - conversations[slot].said_at > repeat_s) {
                    uint16_t secs = htons((uint16_t)(now - conversations[slot].began_at));
                    memcpy(conversations[slot].message + 8, &secs, 2);
                    repeats++;
                    say(&conversations[slot], now);
                }
        }
    }
    double spent = now - began;
    printf("{\"exchanges\": %ld, \"seconds\": %.4f, \"rate\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"repeats\": %ld, \"refusals\": %ld, \"next_client\": %u}\n",
           done, spent, (double)done / spent, percentile(done, 0.50), percentile(done, 0.99), repeats, refusals, next);
    return 0;
}
