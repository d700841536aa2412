/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options that make something: a table, and the way from the text of an argument to the
 * function that makes what it describes.
 *
 * The schema knows what an argument may contain; the same functions as for QMP commands do the
 * work.
 */
#include "qemu/osdep.h"

#include "monitor/monitor.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"
#include "qapi/visitor.h"
#include "qemu/keyval.h"
#include "tools/qemu-storage-daemon/daemon.h"

static void apply_blockdev(void *value, Error **errp)
{
    qmp_blockdev_add(value, errp);
}

static void apply_export(void *value, Error **errp)
{
    qmp_block_export_add(value, errp);
}

static void apply_object(void *value, Error **errp)
{
    qmp_object_add(value, errp);
}

static void apply_chardev(void *value, Error **errp)
{
    chardev_add(value, errp);
}

static void apply_monitor(void *value, Error **errp)
{
    monitor_add(value, errp);
}

const DaemonOption daemon_options[] = {
    {
        .name = "blockdev",
        .usage = "[driver=]DRIVER,node-name=NAME,...",
        .summary = "make a block node",
        .type = &qapi_info_BlockdevOptions,
        .implied_key = "driver",
        .apply = apply_blockdev,
    },
    {
        .name = "chardev",
        .usage = "[backend=]BACKEND,id=ID,...",
        .summary = "make a character device, for a monitor",
        .type = &qapi_info_ChardevOptions,
        .implied_key = "backend",
        .apply = apply_chardev,
    },
    {
        .name = "export",
        .usage = "[type=]TYPE,id=ID,node-name=NAME,...",
        .summary = "export a block node",
        .type = &qapi_info_BlockExportOptions,
        .implied_key = "type",
        .apply = apply_export,
    },
    {
        .name = "monitor",
        .usage = "[chardev=]ID[,mode=control][,pretty=on|off]",
        .summary = "take QMP commands from a character device",
        .type = &qapi_info_MonitorOptions,
        .implied_key = "chardev",
        .apply = apply_monitor,
    },
    {
        .name = "object",
        .usage = "[qom-type=]TYPE,id=ID,...",
        .summary = "make an object, such as an iothread",
        .type = &qapi_info_ObjectOptions,
        .implied_key = "qom-type",
        .apply = apply_object,
    },
    {.name = NULL},
};

DaemonStep *daemon_step_new(const DaemonOption *option, const char *text, json_t **tree,
                            Error **errp)
{
    bool is_json = text[0] == '{', is_help_wanted = false, is_read;
    json_auto_t *parsed = is_json ? json_parse_text(text, errp)
                                  : keyval_parse(text, option->implied_key, &is_help_wanted, errp);
    void *value = NULL;
    DaemonStep *step;

    *tree = NULL;
    if (!parsed) {
        return NULL;
    }
    if (is_help_wanted) {
        *tree = json_incref(parsed);
        return NULL;
    }
    is_read = is_json ? qapi_from_json(option->type, parsed, &value, errp)
                      : qapi_from_keyval(option->type, parsed, &value, errp);
    if (!is_read) {
        return NULL;
    }
    step = g_new0(DaemonStep, 1);
    step->option = option;
    step->text = text;
    step->value = value;
    return step;
}

void daemon_step_free(DaemonStep *step)
{
    qapi_free_value(step->option->type, &step->value);
    g_free(step);
}

void daemon_report_option_error(const DaemonOption *option, const char *text, Error *err)
{
    error_reportf_err(err, "--%s %s: ", option->name, text);
}

bool daemon_step_apply(const DaemonStep *step)
{
    Error *err = NULL;

    step->option->apply(step->value, &err);
    if (err) {
        daemon_report_option_error(step->option, step->text, err);
        return false;
    }
    return true;
}
