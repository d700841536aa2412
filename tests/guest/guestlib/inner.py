# SPDX-License-Identifier: GPL-2.0-or-later
"""
A daemon on the guest's side: its exports are devices of the guest's kernel.

    with case.boot(sets=['ublk']) as guest:
        guest.sh('modprobe ublk_drv')
        daemon = InnerDaemon(guest, '/tmp/disk.qcow2', {'type': 'ublk', 'dev-id': 0})
        daemon.start()
        guest.sh('blkzone report /dev/ublkb0')
        daemon.stop()

Its monitor is on its standard streams, which are files of the guest.
"""

import itertools
import json
import shlex

from .machine import GuestError

# Where the daemon reads commands, and where it puts answers and messages.
FOLDER = '/run/daemon'


class QmpError(Exception):
    """A command failed; the text is what the daemon said."""


class InnerDaemon:
    """A qemu-storage-daemon in a guest, with one export of one image, both called `disk`."""

    def __init__(self, guest, image, export, image_format='qcow2', arguments=()):
        """
        @image: a path in the guest.  @export: options beside id, node-name and writable; each may
        be changed before a start.  @arguments: further ones, before the others.
        """
        self.guest, self.arguments = guest, arguments
        self.node = {'driver': image_format, 'node-name': 'disk',
                     'file': {'driver': 'file', 'filename': image}}
        self.export = {'id': 'disk', 'node-name': 'disk', 'writable': True, 'iothread': 'io',
                       **export}
        self._ids = itertools.count(1)

    def start(self):
        """Start it; returns when the export is there, and raises GuestError where it fails."""
        words = ['qemu-storage-daemon', '--object', 'iothread,id=io', *self.arguments,
                 '--blockdev', json.dumps(self.node), '--export', json.dumps(self.export),
                 '--chardev', 'stdio,id=m', '--monitor', 'chardev=m',
                 '--pidfile', f'{FOLDER}/pid']
        command = ' '.join(map(shlex.quote, words))
        # A pipe that something holds open does not end; a pid file says that all is made.
        self.guest.sh(f'''
            mkdir -p {FOLDER}
            cd {FOLDER}
            [ -p in ] || {{ mkfifo in; start hold sleep infinity <>in; }}
            rm -f pid out
            start daemon bash -c {shlex.quote(f"exec {command} <>{FOLDER}/in >{FOLDER}/out "
                                              f"2>>{FOLDER}/log")}
            until [ -s pid ] || has_ended daemon; do sleep 0.1; done
            if ! [ -s pid ]; then tail {FOLDER}/log >&2; exit 1; fi
        ''')
        self._command({'execute': 'qmp_capabilities'})

    def _command(self, command):
        number = next(self._ids)
        line = json.dumps({**command, 'id': number})
        answer = self.guest.sh(f'''
            echo {shlex.quote(line)} >{FOLDER}/in
            until grep '"id": {number}[,}}]' {FOLDER}/out; do
                if has_ended daemon; then tail {FOLDER}/log >&2; exit 1; fi
                sleep 0.1
            done
        ''')
        return json.loads(answer)

    def command(self, name, **arguments):
        """Carry out a QMP command; underscores in names of arguments stand for dashes."""
        arguments = {key.replace('_', '-'): value for key, value in arguments.items()}
        answer = self._command({'execute': name, 'arguments': arguments})
        if 'error' in answer:
            raise QmpError(answer['error']['desc'])
        return answer['return']

    @property
    def qmp(self):
        return self

    def zones(self):
        """Return the zones, from query-block-zones."""
        return self.command('query-block-zones', node_name='disk')['zones']

    def stats(self):
        """Return what query-blockstats says of the disk: `stats`, and `zones` if it is zoned."""
        nodes = self.command('query-blockstats', query_nodes=True)
        return next(node for node in nodes if node['node-name'] == 'disk')

    def log(self):
        """Return what all daemons in the guest have said, and their trace."""
        return self.guest.sh(f'cat {FOLDER}/log')

    def stop(self):
        """End it with SIGTERM, which must go well."""
        self.guest.sh(f'kill -TERM "$(cat {FOLDER}/pid)"; finish daemon')

    def kill(self):
        """End it as a crash would; returns when it has gone."""
        status = self.guest.run(f'kill -KILL "$(cat {FOLDER}/pid)"; finish daemon').status
        if status != 137:
            raise GuestError(f'the killed daemon had status {status}')
