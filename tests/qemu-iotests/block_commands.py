# SPDX-License-Identifier: GPL-2.0-or-later
"""
What tests of the block layer's QMP commands share: a daemon for each case, errors compared word by
word, and jobs followed to their end.
"""

import iotests
from harness.qmp import QmpError, StorageDaemon


class CommandTestCase(iotests.ImageTestCase):
    """
    Cases that each talk to a fresh daemon.

    @daemon_options: for its command line.
    """
    daemon_options = ()

    def setUp(self):
        super().setUp()
        self.daemon = None
        self.start_daemon()

    def tearDown(self):
        self.stop_daemon()
        super().tearDown()

    def start_daemon(self):
        self.daemon = StorageDaemon(iotests.qsd_prog, iotests.sock_dir, *self.daemon_options)

    def stop_daemon(self):
        """End it, which must succeed, so that others can use its images."""
        if self.daemon:
            daemon, self.daemon = self.daemon, None
            daemon.stop()

    def command(self, command, arguments=None, **named):
        return self.daemon.qmp.command(command, arguments, **named)

    def assert_error(self, desc, command, arguments=None, **named):
        """@command fails with exactly this description."""
        with self.assertRaises(QmpError) as caught:
            self.command(command, arguments, **named)
        self.assertEqual(caught.exception.desc, desc)
        self.assertEqual(caught.exception.error_class, 'GenericError')

    # ---- nodes ----

    def image_node(self, **options):
        """The options of the node `disk` with the image."""
        return {'driver': iotests.imgfmt, 'node-name': 'disk',
                'file': {'driver': 'file', 'node-name': 'file', 'filename': str(self.image)},
                **options}

    def export_disk(self, **options):
        """Export `disk` over vhost-user, as `export`; nobody connects."""
        self.command('block-export-add', {
            'type': 'vhost-user-blk', 'id': 'export', 'node-name': 'disk',
            'addr': {'type': 'unix', 'path': str(iotests.sock_dir / 'export.sock')}, **options})

    def unexport_disk(self):
        self.command('block-export-del', id='export')
        self.daemon.qmp.event('BLOCK_EXPORT_DELETED', id='export')

    def node(self, name):
        """What query-named-block-nodes says of the node @name; None where there is none."""
        nodes = self.command('query-named-block-nodes')
        return next((node for node in nodes if node['node-name'] == name), None)

    # ---- jobs ----

    def statuses(self, job, last):
        """The statuses that @job goes through, @last being the one to wait for."""
        seen = []
        while last not in seen:
            event = self.daemon.qmp.event('JOB_STATUS_CHANGE', id=job)
            seen.append(event['data']['status'])
        return seen

    def run_create(self, options, job='job'):
        """Create an image, dismiss the job, and return its error, None where it has none."""
        self.command('blockdev-create', {'job-id': job, 'options': options})
        self.statuses(job, 'concluded')
        [info] = self.command('query-jobs')
        self.assertEqual((info['id'], info['type'], info['status']), (job, 'create', 'concluded'))
        self.command('job-dismiss', id=job)
        return info.get('error')
