/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events: wrap the data, add the time, call the handler.
 */
#include "qemu/osdep.h"
#include "qapi/qmp-event.h"
#include "qapi/visitor.h"
#include "visit-internal.h"

static QapiEventHandler *event_handler;
static void *event_handler_opaque;

void qapi_event_set_handler(QapiEventHandler *handler, void *opaque)
{
    event_handler = handler;
    event_handler_opaque = opaque;
}

void qapi_event_emit(json_t *event)
{
    if (event_handler) {
        event_handler(event, event_handler_opaque);
    }
}

void qapi_event_emit_object(const char *name, const QapiTypeInfo *type, const void *obj)
{
    int64_t now = g_get_real_time();
    g_autoptr(JsonRef) event =
        json_pack("{s:{s:I, s:I}, s:s}", "timestamp", "seconds", (json_int_t)(now / G_USEC_PER_SEC),
                  "microseconds", (json_int_t)(now % G_USEC_PER_SEC), "event", name);

    if (type) {
        json_object_set_new(event, "data", qapi_to_json(type, &obj));
    }
    qapi_event_emit(event);
}
