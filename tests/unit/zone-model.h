/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A zoned device in the plainest words: what the zone table must do, without any care for speed.
 *
 * Everything is an array and every question a scan over it; nothing is counted, listed or
 * remembered that can be found out by looking.  It shares with block/zones.c only the types of its
 * interface. Results are those of the function of the same name in block/zones.h.
 */
#ifndef TESTS_ZONE_MODEL_H
#define TESTS_ZONE_MODEL_H

#include "block/zones.h"

typedef struct ModelWrite {
    int64_t offset, bytes;
    bool has_ended;
    int ret;
} ModelWrite;

typedef struct ModelZone {
    int64_t start, length, capacity;
    int64_t wp;             /* absolute; end of what was acknowledged */
    BlockZoneState state;   /* as if it had no defect */
    BlockZoneState defect;  /* read-only, offline, or 0 */
    bool is_finished;       /* full without having been filled */
    bool is_held;
    bool is_broken;         /* an answered write has failed, others are still in flight behind it */
    uint64_t written_at;    /* when the last write was accepted, in operations */
    uint64_t driver_data;   /* stands for the memory of zone_write_open_data() */
    GPtrArray *writes;      /* ModelWrite, in flight, in the order of their beginning */
} ModelZone;

typedef struct ModelZones {
    ZonesGeometry geometry;
    unsigned int nr_zones;
    ModelZone *zones;
    uint64_t now;
    ZonesStats stats;
} ModelZones;

ModelZones *model_new(const ZonesGeometry *geometry);
void model_free(ModelZones *model);

int model_load_wp(ModelZones *model, unsigned int index, int64_t wp);

ModelZone *model_zone_at(ModelZones *model, int64_t offset);
BlockZoneState model_state(const ModelZone *zone);
int64_t model_wp(const ModelZone *zone);
/* Where the next write must start. */
int64_t model_submitted(const ModelZone *zone);
void model_describe(const ModelZone *zone, BlockZoneDescriptor *descriptor);
void model_counts(const ModelZones *model, ZonesCounts *counts);
int model_read_extent(ModelZones *model, int64_t offset, int64_t bytes, int64_t *count);

int model_write_begin(ModelZones *model, ModelWrite *write, int64_t offset, int64_t bytes);
int model_append_begin(ModelZones *model, ModelWrite *write, int64_t zone_start, int64_t bytes);
/* Adds to @answered, in order, the ModelWrites that are now settled. */
void model_write_end(ModelZones *model, ModelWrite *write, int ret, GPtrArray *answered);

int model_check_range(const ModelZones *model, int64_t offset, int64_t len);
int model_hold(ModelZones *model, int64_t offset, int64_t len);
void model_release(ModelZones *model, int64_t offset, int64_t len);
bool model_is_busy(const ModelZones *model, int64_t offset, int64_t len);
int model_mgmt_check(const ModelZones *model, BlockZoneOp op, int64_t offset, int64_t len);
bool model_mgmt_moves_wp(const ModelZone *zone, BlockZoneOp op);
void model_mgmt_apply(ModelZones *model, BlockZoneOp op, int64_t offset, int64_t len);
void model_set_defect(ModelZones *model, unsigned int index, BlockZoneState state);

#endif
