/* What TLS costs a request by openssl, in memory: opens the records of a request and seals the answer, as
   benches/tls.rs has others do. Prints nanoseconds a request, of the fastest round.

   tls_openssl CERTIFICATE KEY SUITE LENGTH DEPTH ROUNDS READS */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUFFER = 64 << 10 };

static void check(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "openssl: %s\n", what);
    exit(1);
}

static SSL *side(const SSL_METHOD *method, char **words) {
    const char *suite = words[3];
    SSL_CTX *context = SSL_CTX_new(method);
    int is_new = !strncmp(suite, "TLS_", 4), version = is_new ? TLS1_3_VERSION : TLS1_2_VERSION;
    check(SSL_CTX_set_min_proto_version(context, version) &&
              SSL_CTX_set_max_proto_version(context, version) &&
              (is_new ? SSL_CTX_set_ciphersuites(context, suite)
                      : SSL_CTX_set_cipher_list(context, suite)),
          "no such suite");
    SSL_CTX_set_num_tickets(context, 0);
    if (SSL_CTX_use_certificate_chain_file(context, words[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, words[2], SSL_FILETYPE_PEM) != 1)
        check(0, "no certificate");
    SSL *one = SSL_new(context);
    SSL_set_bio(one, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    return one;
}

static void carry(SSL *from, SSL *to, char *buffer) {
    int count;
    while ((count = BIO_read(SSL_get_wbio(from), buffer, BUFFER)) > 0)
        check(BIO_write(SSL_get_rbio(to), buffer, count) == count, "no room");
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static void answer(SSL *server, const char *sealed, int size, int total, char *buffer, char *output) {
    int filled = 0;
    check(BIO_write(SSL_get_rbio(server), sealed, size) == size, "no room");
    while (filled < total) {
        int count = SSL_read(server, buffer + filled, BUFFER - filled);
        check(count > 0, "not authentic");
        filled += count;
    }
    memcpy(output, buffer, total);
    check(SSL_write(server, output, total) == total, "not sealed");
    check(BIO_read(SSL_get_wbio(server), buffer, BUFFER) > total, "nothing sealed");
}

int main(int words_count, char **words) {
    check(words_count == 8, "seven words, please");
    int length = atoi(words[4]), depth = atoi(words[5]), rounds = atoi(words[6]), reads = atoi(words[7]);
    char *buffer = malloc(BUFFER), *output = malloc(BUFFER), *request = malloc(length);
    SSL *client = side(TLS_client_method(), words), *server = side(TLS_server_method(), words);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    while (!SSL_is_init_finished(client) || !SSL_is_init_finished(server)) {
        SSL_do_handshake(client);
        carry(client, server, buffer);
        SSL_do_handshake(server);
        carry(server, client, buffer);
    }
    memset(request, 7, length);
    int room = depth * (length + 64);
    char *sealed = malloc((size_t)room * reads);
    int *sizes = malloc(reads * sizeof *sizes);
    double best = 1e18;
    for (int round = 0; round < rounds; round++) {
        for (int at = 0; at < reads; at++) {
            for (int one = 0; one < depth; one++)
                check(SSL_write(client, request, length) == length, "not sealed");
            sizes[at] = BIO_read(SSL_get_wbio(client), sealed + (size_t)at * room, room);
        }
        double begun = now();
        for (int at = 0; at < reads; at++)
            answer(server, sealed + (size_t)at * room, sizes[at], length * depth, buffer, output);
        double took = (now() - begun) / ((double)reads * depth);
        if (took < best) best = took;
    }
    printf("%.1f\n", best);
    return 0;
}
