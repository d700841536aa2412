/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events on their way from the code in which something happens to whoever listens, usually a
 * monitor.
 *
 * Generated functions qapi_event_send_NAME() build the event here; it then goes to the one handler
 * of the process, or nowhere if there is none (qemu-img).
 */
#ifndef QAPI_QMP_EVENT_H
#define QAPI_QMP_EVENT_H

#include <jansson.h>

#include "qapi/type-info.h"

/* Borrows @event, `{"timestamp": {"seconds", "microseconds"}, "event": NAME[, "data": {...}]}`. */
typedef void QapiEventHandler(json_t *event, void *opaque);

/* Replace the handler; NULL drops events.  To be called before threads are started. */
void qapi_event_set_handler(QapiEventHandler *handler, void *opaque);

/* Give a complete event (borrowed) to the handler.  Any thread. */
void qapi_event_emit(json_t *event);

/* For generated code: emit event @name with the struct @obj of @type as its data; NULL for no
 * data. */
void qapi_event_emit_object(const char *name, const QapiTypeInfo *type, const void *obj);

#endif
