/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands that a client needs before it knows what the program is for, and the end.
 *
 * Whether qmp_capabilities may be used is the session's business; here its arguments are judged.
 */
#include "qemu/osdep.h"

#include "monitor/monitor.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-events.h"
#include "qmp-session.h"

static void (*quit_handler)(void);
static bool is_shutdown_announced;

void qmp_qmp_capabilities(bool has_enable, QMPCapabilityList *enable, Error **errp)
{
    if (enable) {
        error_setg(errp, "Capability '%s' is not offered", QMPCapability_str(enable->value));
    }
}

CommandInfoList *qmp_query_commands(Error **errp)
{
    CommandInfoList *list = NULL, **tail = &list;

    for (size_t i = 0; i < qmp_commands.nr_commands; i++) {
        CommandInfo *info = g_new0(CommandInfo, 1);

        info->name = g_strdup(qmp_commands.commands[i].name);
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

void qmp_quit(Error **errp)
{
    qmp_sessions_stop();
    if (quit_handler) {
        quit_handler();
    }
}

void monitor_set_quit_handler(void (*fn)(void))
{
    quit_handler = fn;
}

void monitor_announce_shutdown(ShutdownCause reason)
{
    if (!is_shutdown_announced) {
        is_shutdown_announced = true;
        qmp_sessions_stop();
        qmp_sessions_wait_for_command();
        qapi_event_send_shutdown(false, reason);
    }
}
