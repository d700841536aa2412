/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The visitor that frees: scalars give up what they own, the walk frees the containers.
 */
#include "qemu/osdep.h"
#include "qapi/visitor.h"

static bool dealloc_enter(Visitor *v, const char *name, const QapiTypeInfo *type, Error **errp)
{
    return true;
}

static bool dealloc_leave(Visitor *v, Error **errp)
{
    return true;
}

static bool dealloc_scalar(Visitor *v, const char *name, const QapiTypeInfo *type, void *slot,
                           Error **errp)
{
    switch (type->kind) {
    case QAPI_KIND_STR:
        g_free(*(char **)slot);
        break;
    case QAPI_KIND_NULL:
    case QAPI_KIND_ANY:
        json_decref(*(json_t **)slot);
        break;
    default:
        break;
    }
    memset(slot, 0, type->size);
    return true;
}

static const VisitorOps dealloc_ops = {
    .direction = VISITOR_DEALLOC,
    .enter = dealloc_enter,
    .leave = dealloc_leave,
    .scalar = dealloc_scalar,
};

void qapi_free_value(const QapiTypeInfo *type, void *slot)
{
    Visitor v = {.ops = &dealloc_ops};

    visit_type(&v, NULL, type, slot, NULL);
}
