/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a QMP request to a command's function and back to a response.
 */
#include "qemu/osdep.h"
#include "qapi/qmp-dispatch.h"

const QmpCommand *qmp_find_command(const QmpCommandTable *table, const char *name)
{
    for (size_t i = 0; i < table->nr_commands; i++) {
        if (!strcmp(table->commands[i].name, name)) {
            return &table->commands[i];
        }
    }
    return NULL;
}

static bool check_request(json_t *request, Error **errp)
{
    const char *key;
    json_t *value;

    if (!json_is_object(request)) {
        error_setg(errp, "QMP input must be a JSON object");
        return false;
    }
    json_object_foreach(request, key, value)
    {
        if (!strcmp(key, "execute")) {
            if (!json_is_string(value)) {
                error_setg(errp, "QMP input member 'execute' must be a string");
                return false;
            }
        } else if (!strcmp(key, "arguments")) {
            if (!json_is_object(value)) {
                error_setg(errp, "QMP input member 'arguments' must be an object");
                return false;
            }
        } else if (strcmp(key, "id")) {
            error_setg(errp, "QMP input member '%s' is unexpected", key);
            return false;
        }
    }
    if (!json_object_get(request, "execute")) {
        error_setg(errp, "QMP input lacks member 'execute'");
        return false;
    }
    return true;
}

const QmpCommand *qmp_request_command(const QmpCommandTable *table, json_t *request, Error **errp)
{
    const QmpCommand *command;
    const char *name;

    if (!check_request(request, errp)) {
        return NULL;
    }
    name = json_string_value(json_object_get(request, "execute"));
    command = qmp_find_command(table, name);
    if (!command) {
        error_set(errp, ERROR_CLASS_COMMAND_NOT_FOUND, "The command %s has not been found", name);
    }
    return command;
}

json_t *qmp_error_json(const Error *err)
{
    const char *class =
        error_get_class(err) == ERROR_CLASS_COMMAND_NOT_FOUND ? "CommandNotFound" : "GenericError";
    g_autofree char *text = g_utf8_make_valid(error_get_pretty(err), -1);

    return json_pack("{s:s, s:s}", "class", class, "desc", text);
}

/* Takes over @value. */
static json_t *new_response(json_t *request, const char *key, json_t *value)
{
    json_t *response = json_object();
    json_t *id = json_object_get(request, "id");

    json_object_set_new(response, key, value);
    if (id) {
        json_object_set(response, "id", id);
    }
    return response;
}

json_t *qmp_error_response(json_t *request, const Error *err)
{
    return new_response(request, "error", qmp_error_json(err));
}

json_t *qmp_dispatch(const QmpCommandTable *table, json_t *request)
{
    g_autoptr(Error) err = NULL;
    const QmpCommand *command = qmp_request_command(table, request, &err);
    json_t *result = NULL;

    if (command) {
        result = command->marshal(json_object_get(request, "arguments"), &err);
    }
    return result ? new_response(request, "return", result) : qmp_error_response(request, err);
}

bool qmp_check_no_arguments(json_t *arguments, Error **errp)
{
    void *iter = json_object_iter(arguments);

    if (iter) {
        error_setg(errp, "Parameter '%s' is unexpected", json_object_iter_key(iter));
    }
    return !iter;
}
