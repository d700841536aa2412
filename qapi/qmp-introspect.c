/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command query-qmp-schema.
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-introspect.h"

SchemaInfoList *qmp_query_qmp_schema(Error **errp)
{
    json_t *entities = qapi_introspect();
    SchemaInfoList *list = qapi_SchemaInfoList_from_json(entities, errp);

    json_decref(entities);
    return list;
}
