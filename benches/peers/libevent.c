/* Echo on libevent's buffered events, as its book has it. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

static void on_read(struct bufferevent *conn, void *none) {
    (void)none;
    evbuffer_add_buffer(bufferevent_get_output(conn), bufferevent_get_input(conn));
}

static void on_end(struct bufferevent *conn, short what, void *none) {
    (void)what, (void)none;
    bufferevent_free(conn);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                      int length, void *none) {
    (void)peer, (void)length, (void)none;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *conn = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(conn, on_read, NULL, on_end, NULL);
    bufferevent_enable(conn, EV_READ | EV_WRITE);
}

int main(int count, char **words) {
    struct sockaddr_in here;
    if (count != 2) return 2;
    memset(&here, 0, sizeof here);
    here.sin_family = AF_INET;
    here.sin_port = htons(atoi(words[1]));
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct event_base *base = event_base_new();
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE;
    if (!evconnlistener_new_bind(base, on_accept, NULL, flags, 4096, (struct sockaddr *)&here,
                                 sizeof here))
        return 1;
    return event_base_dispatch(base);
}
