/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands that make and delete objects: see qapi/daemon.json.
 *
 * All objects are iothreads at present, so that their registry is that of all objects.
 */
#include "qemu/osdep.h"

#include "block/iothread.h"
#include "qapi/qapi-commands.h"

void qmp_object_add(ObjectOptions *options, Error **errp)
{
    assert(options->qom_type == OBJECT_TYPE_IOTHREAD);
    iothread_new(options->id, errp);
}

void qmp_object_del(const char *id, Error **errp)
{
    iothread_delete(id, errp);
}
