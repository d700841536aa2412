/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP sessions: see qmp-session.h.
 *
 * Nothing is queued on the way in: a session reads a few KiB, and reads on only when all of it has
 * become commands that were answered.  So what a client can make us keep is one read, one
 * unfinished value and its output.  Commands run from a bottom half, never from the callback of a
 * descriptor: while one waits, its client's output goes out, and that the client has gone is
 * noticed.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "json-stream.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"
#include "qemu/error-report.h"
#include "qmp-events.h"
#include "qmp-output.h"
#include "qmp-session.h"

/* A client with more than this to read gets no further command run ... */
#define MAX_PENDING_FOR_COMMANDS (64 * KiB)
/* ... and one with more than this gets no event.  The next answer follows on what is there. */
#define MAX_PENDING_FOR_EVENTS (256 * KiB)

#define NEGOTIATION "qmp_capabilities"

/*
 * @input from @input_taken to @input_len was read and not parsed yet.
 * @has_input_ended: there is nothing more to read; what was read is still carried out.
 */
struct QmpSession {
    QmpSessionOptions options;
    JsonStream *stream;
    char input[4096];
    size_t input_taken, input_len;
    bool has_input_ended;
    bool has_negotiated;
    bool is_command_running;
    bool is_losing_events;
    QmpOutput output;
    TAILQ_ENTRY(QmpSession) link;
};

/* Those that ran a command last come last. */
static TAILQ_HEAD(, QmpSession) sessions = TAILQ_HEAD_INITIALIZER(sessions);
static QEMUBH *turn_bh; /* exists while there are sessions */
static bool is_command_running;
static bool are_stopped;

/* ---- descriptors ---- */

static void read_input(void *opaque);
static void write_output(void *opaque);

static bool has_input(const QmpSession *session)
{
    return session->input_taken < session->input_len;
}

/* Watch for what can be dealt with. */
static void watch(QmpSession *session)
{
    AioContext *ctx = qemu_get_aio_context();
    const QmpSessionOptions *options = &session->options;
    IOHandler *on_readable = session->has_input_ended || has_input(session) ? NULL : read_input;
    IOHandler *on_writable = qmp_output_pending(&session->output) ? write_output : NULL;

    if (options->in_fd == options->out_fd) {
        aio_set_fd_handler(ctx, options->in_fd, on_readable, on_writable, session);
    } else {
        aio_set_fd_handler(ctx, options->in_fd, on_readable, NULL, session);
        aio_set_fd_handler(ctx, options->out_fd, NULL, on_writable, session);
    }
}

static void read_input(void *opaque)
{
    QmpSession *session = opaque;
    ssize_t ret = read(session->options.in_fd, session->input, sizeof(session->input));

    if (ret < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    session->input_taken = 0;
    session->input_len = MAX(ret, 0);
    session->has_input_ended = ret <= 0;
    watch(session);
    qemu_bh_schedule(turn_bh);
}

static void write_output(void *opaque)
{
    QmpSession *session = opaque;

    qmp_output_flush(&session->output);
    session->is_losing_events &= qmp_output_pending(&session->output) > 0;
    watch(session);
    qemu_bh_schedule(turn_bh);
}

static void send_message(QmpSession *session, json_t *message)
{
    qmp_output_send(&session->output, message);
    watch(session);
}

/* ---- commands ---- */

/* Takes over @response.  Events that the command caused, in whatever thread, go first. */
static void send_response(QmpSession *session, json_t *response)
{
    qmp_sessions_send_events();
    send_message(session, response);
    json_decref(response);
}

static bool is_negotiation(const QmpCommand *command)
{
    return command && !strcmp(command->name, NEGOTIATION);
}

/*
 * The command of @request if the session may run it now; otherwise NULL with an error.  Before the
 * negotiation other commands are as if they did not exist, and after it that one is.
 */
static const QmpCommand *find_command(QmpSession *session, json_t *request, Error **errp)
{
    ERRP_GUARD();
    const QmpCommand *command = qmp_request_command(session->options.commands, request, errp);
    bool is_wellformed = command || error_get_class(*errp) == ERROR_CLASS_COMMAND_NOT_FOUND;

    if (is_wellformed && !session->has_negotiated && !is_negotiation(command)) {
        g_clear_pointer(errp, error_free);
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "Expecting capabilities negotiation with '" NEGOTIATION "'");
        return NULL;
    }
    if (session->has_negotiated && is_negotiation(command)) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND,
                  "Capabilities negotiation is already complete, command ignored");
        return NULL;
    }
    return command;
}

typedef struct CommandRun {
    QmpSession *session;
    const QmpCommand *command;
    json_t *request;
} CommandRun;

/* May yield if the command does. */
static void run_command(void *opaque)
{
    CommandRun *run = opaque;
    QmpSession *session = run->session;
    json_t *response = qmp_dispatch(session->options.commands, run->request);

    if (is_negotiation(run->command) && json_object_get(response, "return")) {
        session->has_negotiated = true;
    }
    is_command_running = session->is_command_running = false;
    send_response(session, response);
    qemu_bh_schedule(turn_bh);
    json_decref(run->request);
    g_free(run);
}

/* Takes over @request. */
static void start_command(QmpSession *session, json_t *request)
{
    g_autoptr(Error) err = NULL;
    const QmpCommand *command = find_command(session, request, &err);
    CommandRun *run;

    if (!command) {
        send_response(session, qmp_error_response(request, err));
        json_decref(request);
        return;
    }
    run = g_new(CommandRun, 1);
    *run = (CommandRun){.session = session, .command = command, .request = request};
    is_command_running = session->is_command_running = true;
    if (command->coroutine) {
        aio_co_enter(qemu_get_aio_context(), qemu_coroutine_create(run_command, run));
    } else {
        run_command(run);
    }
}

/* ---- taking turns ---- */

/* Start the next command of @session, or answer its next mistake; whether there was one. */
static bool take_turn(QmpSession *session)
{
    g_autoptr(Error) err = NULL;
    json_t *request = NULL;

    if (qmp_output_pending(&session->output) > MAX_PENDING_FOR_COMMANDS) {
        return false;
    }
    while (has_input(session) && !request && !err) {
        session->input_taken +=
            json_stream_read(session->stream, session->input + session->input_taken,
                             session->input_len - session->input_taken, &request, &err);
    }
    watch(session);
    if (request) {
        start_command(session, request);
    } else if (err) {
        send_response(session, qmp_error_response(NULL, err));
    }
    return request || err;
}

/* A client that reads nothing any more may still send commands, or have sent some. */
static bool has_ended(const QmpSession *session)
{
    if (session->is_command_running) {
        return false;
    }
    return session->has_input_ended && !has_input(session) && !qmp_output_pending(&session->output);
}

/* @ended frees the session, and may begin another. */
static void end_sessions(void)
{
    QmpSession *session = TAILQ_FIRST(&sessions);

    while (session) {
        if (has_ended(session)) {
            session->options.ended(session->options.opaque);
            session = TAILQ_FIRST(&sessions);
        } else {
            session = TAILQ_NEXT(session, link);
        }
    }
}

static void take_turns(void *opaque)
{
    QmpSession *session;

    if (!is_command_running && !are_stopped) {
        TAILQ_FOREACH (session, &sessions, link) {
            if (take_turn(session)) {
                TAILQ_REMOVE(&sessions, session, link);
                TAILQ_INSERT_TAIL(&sessions, session, link);
                qemu_bh_schedule(turn_bh);
                break;
            }
        }
    }
    end_sessions();
}

void qmp_sessions_stop(void)
{
    are_stopped = true;
}

void qmp_sessions_wait_for_command(void)
{
    AIO_WAIT_WHILE(qemu_get_aio_context(), is_command_running);
}

/* ---- life ---- */

static void greet(QmpSession *session)
{
    g_autoptr(VersionInfo) version = qmp_query_version(&error_abort);
    json_t *greeting = json_pack("{s:{s:o, s:[]}}", "QMP", "version",
                                 qapi_VersionInfo_to_json(version), "capabilities");

    send_message(session, greeting);
    json_decref(greeting);
}

QmpSession *qmp_session_new(const QmpSessionOptions *options)
{
    QmpSession *session = g_new0(QmpSession, 1);

    assert(qmp_find_command(options->commands, NEGOTIATION));
    if (TAILQ_EMPTY(&sessions)) {
        turn_bh = aio_bh_new(qemu_get_aio_context(), take_turns, NULL);
    }
    session->options = *options;
    session->stream = json_stream_new();
    qmp_output_init(&session->output, options->out_fd, options->is_pretty);
    TAILQ_INSERT_TAIL(&sessions, session, link);
    greet(session);
    return session;
}

void qmp_session_free(QmpSession *session)
{
    if (!session) {
        return;
    }
    assert(!session->is_command_running);
    aio_set_fd_handler(qemu_get_aio_context(), session->options.in_fd, NULL, NULL, NULL);
    aio_set_fd_handler(qemu_get_aio_context(), session->options.out_fd, NULL, NULL, NULL);
    TAILQ_REMOVE(&sessions, session, link);
    if (TAILQ_EMPTY(&sessions)) {
        g_clear_pointer(&turn_bh, qemu_bh_delete);
    }
    qmp_output_cleanup(&session->output);
    json_stream_free(session->stream);
    g_free(session);
}

/* ---- all of them ---- */

static void send_event(QmpSession *session, json_t *event)
{
    if (!session->has_negotiated) {
        return;
    }
    if (qmp_output_pending(&session->output) <= MAX_PENDING_FOR_EVENTS) {
        send_message(session, event);
    } else if (!session->is_losing_events) {
        session->is_losing_events = true;
        warn_report("Monitor '%s': the client does not read; it loses events",
                    session->options.name);
    }
}

void qmp_sessions_send_events(void)
{
    json_t *event;

    while ((event = qmp_events_take())) {
        QmpSession *session;

        TAILQ_FOREACH (session, &sessions, link) {
            send_event(session, event);
        }
        json_decref(event);
    }
}

bool qmp_sessions_has_output(void)
{
    QmpSession *session;

    TAILQ_FOREACH (session, &sessions, link) {
        if (qmp_output_pending(&session->output) > 0) {
            return true;
        }
    }
    return false;
}
