/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command query-version, whose answer is in each greeting too.
 */
#include "qemu/osdep.h"

#include "qapi/qapi-commands.h"

VersionInfo *qmp_query_version(Error **errp)
{
    VersionInfo *info = g_new0(VersionInfo, 1);
    VersionTriple *version = g_new0(VersionTriple, 1);
    int nr_read = sscanf(PROJECT_VERSION, "%" SCNd64 ".%" SCNd64 ".%" SCNd64, &version->major,
                         &version->minor, &version->micro);

    g_assert(nr_read == 3);
    info->qemu = version;
    info->package = g_strdup("zoned-storage " PROJECT_VERSION);
    return info;
}
