/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP sessions over socket pairs, with a table of commands of our own: order, isolation, clients
 * that misbehave.  Texts have ' for ".
 */
#include "qemu/osdep.h"

#include <signal.h>
#include <sys/socket.h>

#include "block/aio.h"
#include "monitor/qmp-events.h"
#include "monitor/qmp-session.h"
#include "qapi/qapi-types.h"
#include "qapi/qmp-event.h"

/* Much longer than anything takes. */
#define PATIENCE_NS (INT64_C(60) * 1000 * 1000 * 1000)

/* Poll the main loop while @condition, but not for ever. */
#define POLL_WHILE(condition)                                     \
    do {                                                          \
        int64_t deadline_ns = qemu_clock_get_ns() + PATIENCE_NS;  \
                                                                  \
        while (condition) {                                       \
            g_assert_cmpint(qemu_clock_get_ns(), <, deadline_ns); \
            if (!aio_poll(qemu_get_aio_context(), false)) {       \
                g_usleep(50);                                     \
            }                                                     \
        }                                                         \
    } while (0)

/* ---- the commands ---- */

#define BIG_LENGTH 100000

static unsigned int nr_run;
static unsigned int nr_inside, most_inside;
static unsigned int nr_turns;

static json_t *run_echo(json_t *arguments, Error **errp)
{
    nr_run++;
    return arguments ? json_incref(arguments) : json_object();
}

static json_t *run_fail(json_t *arguments, Error **errp)
{
    nr_run++;
    error_setg(errp, "it failed");
    return NULL;
}

/* The loop has this many turns while a command waits. */
#define NR_TURNS 100

static void count_turn(void *opaque)
{
    if (++nr_turns < NR_TURNS) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), count_turn, opaque);
    } else if (opaque) {
        aio_co_wake(opaque);
    }
}

static void go_inside(Coroutine *co)
{
    nr_run++;
    nr_inside++;
    most_inside = MAX(most_inside, nr_inside);
    nr_turns = 0;
    aio_bh_schedule_oneshot(qemu_get_aio_context(), count_turn, co);
}

/* Waits in a nested loop. */
static json_t *run_wait(json_t *arguments, Error **errp)
{
    go_inside(NULL);
    POLL_WHILE(nr_turns < NR_TURNS);
    nr_inside--;
    return json_object();
}

static json_t *run_yield(json_t *arguments, Error **errp)
{
    go_inside(qemu_coroutine_self());
    qemu_coroutine_yield();
    nr_inside--;
    return json_object();
}

static json_t *run_big(json_t *arguments, Error **errp)
{
    g_autofree char *text = g_strnfill(BIG_LENGTH, 'x');

    nr_run++;
    return json_string(text);
}

static void emit(int number)
{
    json_auto_t *event = json_pack("{s:s, s:i}", "event", "NUMBERED", "data", number);

    qapi_event_emit(event);
}

static void *emit_in_thread(void *opaque)
{
    emit(GPOINTER_TO_INT(opaque));
    return NULL;
}

/* Emits event 1 in this thread and 2 in another one. */
static json_t *run_events(json_t *arguments, Error **errp)
{
    nr_run++;
    emit(1);
    g_thread_join(g_thread_new("emitter", emit_in_thread, GINT_TO_POINTER(2)));
    return json_object();
}

static const QmpCommand commands[] = {
    {.name = "qmp_capabilities", .marshal = run_echo},
    {.name = "echo", .marshal = run_echo},
    {.name = "fail", .marshal = run_fail},
    {.name = "wait", .marshal = run_wait},
    {.name = "yield", .marshal = run_yield, .coroutine = true},
    {.name = "big", .marshal = run_big},
    {.name = "events", .marshal = run_events},
};
static const QmpCommandTable table = {commands, ARRAY_SIZE(commands)};

/* ---- clients ---- */

typedef struct Client {
    int fd; /* non-blocking */
    int session_fd;
    QmpSession *session; /* NULL: has ended */
    GString *received;
} Client;

static void session_ended(void *opaque)
{
    Client *client = opaque;

    g_clear_pointer(&client->session, qmp_session_free);
    close(client->session_fd);
}

static void client_open(Client *client, bool is_pretty)
{
    int fds[2], ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
    QmpSessionOptions options = {
        .commands = &table,
        .name = "test",
        .in_fd = fds[1],
        .out_fd = fds[1],
        .is_pretty = is_pretty,
        .ended = session_ended,
        .opaque = client,
    };

    g_assert_cmpint(ret, ==, 0);
    *client = (Client){.fd = fds[0], .session_fd = fds[1], .received = g_string_new(NULL)};
    client->session = qmp_session_new(&options);
}

/* Receive what is there; false where the connection has ended. */
static bool client_receive(Client *client)
{
    char bytes[65536];
    ssize_t ret;

    while ((ret = read(client->fd, bytes, sizeof(bytes))) > 0) {
        g_string_append_len(client->received, bytes, ret);
    }
    return ret < 0 && errno == EAGAIN;
}

static void client_send_bytes(Client *client, const char *bytes, size_t len)
{
    while (len) {
        ssize_t ret = write(client->fd, bytes, len);

        if (ret < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            aio_poll(qemu_get_aio_context(), false);
        } else {
            bytes += ret;
            len -= ret;
        }
    }
}

static void client_send(Client *client, const char *text)
{
    g_autofree char *json_text = g_strdelimit(g_strdup(text), "'", '"');

    client_send_bytes(client, json_text, strlen(json_text));
}

static bool has_line(Client *client)
{
    client_receive(client);
    return strchr(client->received->str, '\n');
}

/* The next line, waiting for it. */
static char *client_line(Client *client)
{
    size_t len;
    char *line;

    POLL_WHILE(!has_line(client));
    len = strcspn(client->received->str, "\n");
    line = g_strndup(client->received->str, len);
    g_string_erase(client->received, 0, len + 1);
    return line;
}

static void client_expect(Client *client, const char *text)
{
    g_autofree char *json_text = g_strdelimit(g_strdup(text), "'", '"');
    g_autofree char *line = client_line(client);

    g_assert_cmpstr(line, ==, json_text);
}

static void poll_for_a_while(void)
{
    for (int i = 0; i < 50; i++) {
        aio_poll(qemu_get_aio_context(), false);
    }
}

/* Nothing comes although the loop has had its turns. */
static void client_expect_silence(Client *client)
{
    poll_for_a_while();
    g_assert_false(has_line(client));
}

static void client_negotiate(Client *client)
{
    g_free(client_line(client));
    client_send(client, "{'execute': 'qmp_capabilities'}\n");
    client_expect(client, "{'return': {}}");
}

static void client_close(Client *client)
{
    close(client->fd);
    POLL_WHILE(client->session);
    g_string_free(client->received, true);
}

static void reset_commands(void)
{
    nr_run = nr_inside = most_inside = 0;
}

/* ---- the protocol ---- */

/* @rest follows the error: `, 'id': 1`, or nothing. */
static void client_expect_error(Client *client, const char *class, const char *desc,
                                const char *rest)
{
    g_autofree char *rest_text = g_strdelimit(g_strdup(rest), "'", '"');
    g_autofree char *expected = g_strdup_printf(
        "{\"error\": {\"class\": \"%s\", \"desc\": \"%s\"}%s}", class, desc, rest_text);
    g_autofree char *line = client_line(client);

    g_assert_cmpstr(line, ==, expected);
}

static void test_negotiation(void)
{
    static const char not_yet[] = "Expecting capabilities negotiation with 'qmp_capabilities'";
    Client client;
    g_autofree char *greeting = NULL;

    client_open(&client, false);
    greeting = client_line(&client);
    g_assert_true(g_str_has_prefix(greeting, "{\"QMP\": {\"version\": {\"qemu\": {\"major\": "));
    g_assert_true(g_str_has_suffix(greeting, "\"capabilities\": []}}"));
    reset_commands();
    client_send(&client, "{'execute': 'echo', 'id': 1}");
    client_expect_error(&client, "CommandNotFound", not_yet, ", 'id': 1");
    client_send(&client, "{'execute': 'unknown'}");
    client_expect_error(&client, "CommandNotFound", not_yet, "");
    client_send(&client, "{'nothing': 1, 'id': null}");
    client_expect_error(&client, "GenericError", "QMP input member 'nothing' is unexpected",
                        ", 'id': null");
    g_assert_cmpuint(nr_run, ==, 0);
    client_send(&client, "{'execute': 'qmp_capabilities', 'id': 'x'}");
    client_expect(&client, "{'return': {}, 'id': 'x'}");
    client_send(&client, "{'execute': 'qmp_capabilities', 'id': 'x'}");
    client_expect_error(&client, "CommandNotFound",
                        "Capabilities negotiation is already complete, command ignored",
                        ", 'id': 'x'");
    client_send(&client, "{'execute': 'unknown'}");
    client_expect_error(&client, "CommandNotFound", "The command unknown has not been found", "");
    client_close(&client);
}

static void test_answers(void)
{
    Client client;

    client_open(&client, false);
    client_negotiate(&client);
    client_send(&client, "{'execute': 'echo', 'arguments': {'a': [1]}, 'id': {'b': [null]}}"
                         "{'execute': 'fail', 'id': 2}\n\n[]{'execute': 'echo'}");
    client_expect(&client, "{'return': {'a': [1]}, 'id': {'b': [null]}}");
    client_expect(&client, "{'error': {'class': 'GenericError', 'desc': 'it failed'}, 'id': 2}");
    client_expect_error(&client, "GenericError", "QMP input must be a JSON object", "");
    client_expect(&client, "{'return': {}}");
    client_send(&client, "{'execute' 'echo'}{'execute': 'echo', 'id': 5}");
    g_free(client_line(&client));
    client_expect(&client, "{'return': {}, 'id': 5}");
    client_close(&client);
}

static void test_pretty(void)
{
    Client client;

    client_open(&client, true);
    while (!strstr(client.received->str, "\n}\n")) {
        client_receive(&client);
    }
    g_string_truncate(client.received, 0);
    client_send(&client, "{'execute': 'qmp_capabilities'}");
    client_expect(&client, "{");
    client_expect(&client, "    'return': {}");
    client_expect(&client, "}");
    client_close(&client);
}

/* ---- order ---- */

static void test_one_at_a_time(const char *kind)
{
    g_autofree char *request = g_strdup_printf("{'execute': '%s', 'id': 1}", kind);
    Client a, b;

    client_open(&a, false);
    client_open(&b, false);
    client_negotiate(&a);
    client_negotiate(&b);
    reset_commands();
    client_send(&a, request);
    client_send(&a, "{'execute': 'echo', 'id': 2}");
    client_send(&b, request);
    client_send(&b, "{'execute': 'echo', 'id': 2}");
    client_expect(&a, "{'return': {}, 'id': 1}");
    client_expect(&b, "{'return': {}, 'id': 1}");
    client_expect(&a, "{'return': {}, 'id': 2}");
    client_expect(&b, "{'return': {}, 'id': 2}");
    g_assert_cmpuint(nr_run, ==, 4);
    g_assert_cmpuint(most_inside, ==, 1);
    client_close(&a);
    client_close(&b);
}

static void test_nested_loop(void)
{
    test_one_at_a_time("wait");
}

static void test_coroutines(void)
{
    test_one_at_a_time("yield");
}

static void test_turns(void)
{
    g_autoptr(GString) many = g_string_new(NULL);
    Client busy, other;

    client_open(&busy, false);
    client_open(&other, false);
    client_negotiate(&busy);
    client_negotiate(&other);
    for (int i = 0; i < 100; i++) {
        g_string_append(many, "{'execute': 'echo'}");
    }
    reset_commands();
    client_send(&busy, many->str);
    client_send(&other, "{'execute': 'echo', 'id': 1}");
    client_expect(&other, "{'return': {}, 'id': 1}");
    g_assert_cmpuint(nr_run, <, 10);
    client_close(&busy);
    client_close(&other);
}

/* ---- events ---- */

static void test_events(void)
{
    Client a, b, mute;

    client_open(&a, false);
    client_open(&b, false);
    client_open(&mute, false);
    client_negotiate(&a);
    client_negotiate(&b);
    g_free(client_line(&mute));
    client_send(&a, "{'execute': 'events', 'id': 1}");
    client_expect(&a, "{'event': 'NUMBERED', 'data': 1}");
    client_expect(&a, "{'event': 'NUMBERED', 'data': 2}");
    client_expect(&a, "{'return': {}, 'id': 1}");
    client_expect(&b, "{'event': 'NUMBERED', 'data': 1}");
    client_expect(&b, "{'event': 'NUMBERED', 'data': 2}");
    client_expect_silence(&b);
    client_expect_silence(&mute);
    g_thread_join(g_thread_new("emitter", emit_in_thread, GINT_TO_POINTER(3)));
    client_expect(&a, "{'event': 'NUMBERED', 'data': 3}");
    client_close(&a);
    client_close(&b);
    client_close(&mute);
}

#define NR_EVENTS 1000

static void *emit_many(void *opaque)
{
    for (int i = 0; i < NR_EVENTS; i++) {
        emit(i);
    }
    return NULL;
}

static void test_event_order(void)
{
    Client client;
    GThread *thread;

    client_open(&client, false);
    client_negotiate(&client);
    thread = g_thread_new("emitter", emit_many, NULL);
    for (int i = 0; i < NR_EVENTS; i++) {
        g_autofree char *expected = g_strdup_printf("{'event': 'NUMBERED', 'data': %d}", i);

        client_expect(&client, expected);
    }
    g_thread_join(thread);
    client_close(&client);
}

/* ---- clients that misbehave ---- */

static void test_no_reader(void)
{
    g_autoptr(GString) many = g_string_new(NULL);
    Client client, other;

    client_open(&client, false);
    client_open(&other, false);
    client_negotiate(&client);
    client_negotiate(&other);
    for (int i = 0; i < 100; i++) {
        g_string_append(many, "{'execute': 'big'}");
    }
    reset_commands();
    client_send(&client, many->str);
    poll_for_a_while();
    poll_for_a_while();
    /* what the kernel takes, and one or two more */
    g_assert_cmpuint(nr_run, <, 10);

    for (int i = 0; i < 100000; i++) {
        emit(i);
        client_receive(&other);
        g_string_truncate(other.received, 0);
    }
    client_send(&other, "{'execute': 'echo', 'id': 'alive'}");
    client_expect(&other, "{'return': {}, 'id': 'alive'}");

    /* all answers come in the end, and some events are missing */
    for (unsigned int nr_answers = 0, nr_events = 0; nr_answers < 100;) {
        g_autofree char *line = client_line(&client);

        nr_answers += g_str_has_prefix(line, "{\"return\"");
        nr_events += g_str_has_prefix(line, "{\"event\"");
        g_assert_cmpuint(nr_events, <, 20000);
    }
    emit(-1);
    client_expect(&client, "{'event': 'NUMBERED', 'data': -1}");
    client_close(&client);
    client_close(&other);
}

static void test_vanished(void)
{
    Client client;

    client_open(&client, false);
    client_negotiate(&client);
    reset_commands();
    client_send(&client, "{'execute': 'yield'}{'execute': 'echo'}");
    POLL_WHILE(!nr_inside);
    close(client.fd);
    emit(1);
    while (nr_inside) {
        g_assert_nonnull(client.session);
        aio_poll(qemu_get_aio_context(), false);
    }
    POLL_WHILE(client.session);
    /* what it had sent was run */
    g_assert_cmpuint(nr_run, ==, 2);
    g_string_free(client.received, true);
}

static void test_half_closed(void)
{
    Client client;

    client_open(&client, false);
    client_negotiate(&client);
    client_send(&client, "{'execute': 'big'}{'execute': 'big'}{'execute': 'echo', 'id': 9}{'exec");
    shutdown(client.fd, SHUT_WR);
    g_free(client_line(&client));
    g_free(client_line(&client));
    client_expect(&client, "{'return': {}, 'id': 9}");
    POLL_WHILE(client.session);
    g_assert_false(client_receive(&client));
    client_close(&client);
}

static void test_stopped(void)
{
    Client client;

    client_open(&client, false);
    client_negotiate(&client);
    qmp_sessions_stop();
    client_send(&client, "{'execute': 'echo'}");
    client_expect_silence(&client);
    emit(1);
    client_expect(&client, "{'event': 'NUMBERED', 'data': 1}");
    g_clear_pointer(&client.session, qmp_session_free);
    close(client.session_fd);
    client_close(&client);
}

/* ---- mutations ---- */

#define NR_CLIENTS 8

static const char seed[] =
    "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"echo\", \"arguments\": {\"a\": 1}}\n"
    "{\"execute\": \"fail\", \"id\": []}\n{\"execute\": \"events\"}\n";

static const char interesting[] = "{}[]\"'\\:,\n 0ex\0\xff\xc3";

static void send_mutated(Client *client)
{
    char bytes[sizeof(seed)];
    unsigned int nr_changes = g_test_rand_int_range(0, 5);
    size_t len = sizeof(seed) - 1;

    memcpy(bytes, seed, sizeof(seed));
    for (unsigned int i = 0; i < nr_changes; i++) {
        bytes[g_test_rand_int_range(0, len)] =
            interesting[g_test_rand_int_range(0, sizeof(interesting) - 1)];
    }
    if (g_test_rand_int_range(0, 4) == 0) {
        len = g_test_rand_int_range(0, len);
    }
    client_send_bytes(client, bytes, len);
}

static bool is_any_open(const Client *clients)
{
    for (int i = 0; i < NR_CLIENTS; i++) {
        if (clients[i].session) {
            return true;
        }
    }
    return false;
}

static void check_lines(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        json_auto_t *message = **line ? json_loads(*line, 0, NULL) : json_object();

        g_assert_nonnull(message);
    }
}

static void run_round(void)
{
    Client clients[NR_CLIENTS];

    for (int i = 0; i < NR_CLIENTS; i++) {
        client_open(&clients[i], false);
        send_mutated(&clients[i]);
        shutdown(clients[i].fd, SHUT_WR);
        if (g_test_rand_int_range(0, 8) == 0) {
            shutdown(clients[i].fd, SHUT_RD);
        }
    }
    POLL_WHILE(is_any_open(clients));
    for (int i = 0; i < NR_CLIENTS; i++) {
        client_receive(&clients[i]);
        check_lines(clients[i].received->str);
        client_close(&clients[i]);
    }
}

static void test_mutations(void)
{
    unsigned int nr_rounds = (g_test_thorough() ? 200000 : 20000) / NR_CLIENTS;

    for (unsigned int i = 0; i < nr_rounds; i++) {
        run_round();
    }
    poll_for_a_while();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    qmp_events_init(qmp_sessions_send_events);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/monitor/session/begins-with-the-negotiation", test_negotiation);
    g_test_add_func("/monitor/session/every-request-is-answered-with-its-id", test_answers);
    g_test_add_func("/monitor/session/pretty-output-is-indented", test_pretty);
    g_test_add_func("/monitor/session/waiting-command-meets-no-other", test_nested_loop);
    g_test_add_func("/monitor/session/yielding-command-meets-no-other", test_coroutines);
    g_test_add_func("/monitor/session/clients-take-turns", test_turns);
    g_test_add_func("/monitor/events/go-before-the-answer-of-their-command", test_events);
    g_test_add_func("/monitor/events/of-a-thread-stay-in-order", test_event_order);
    g_test_add_func("/monitor/session/who-does-not-read-is-not-served-further", test_no_reader);
    g_test_add_func("/monitor/session/outlives-a-vanished-client-s-command", test_vanished);
    g_test_add_func("/monitor/session/half-closed-client-gets-its-answers", test_half_closed);
    g_test_add_func("/monitor/session/mutations-are-survived", test_mutations);
    /* the last: there is no way back */
    g_test_add_func("/monitor/stop/no-command-runs-any-more", test_stopped);
    return g_test_run();
}
