/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-io: commands on a disk image, for tests and for people who look at one.
 */
#include "qemu/osdep.h"

#include "tools/common/tool-image.h"

int main(int argc, char **argv)
{
    tool_init(argv[0]);
    return 0;
}
