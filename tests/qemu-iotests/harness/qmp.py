# SPDX-License-Identifier: GPL-2.0-or-later
"""
A QMP client, and a storage daemon to talk to.

    with StorageDaemon(program, socket_dir, '--blockdev', 'null-co,node-name=d,size=1M') as daemon:
        daemon.qmp.command('query-named-block-nodes')
        daemon.qmp.command('blockdev-del', node_name='d')

Needs nothing but Python's standard library.  Every wait has an end: what does not come in time is a
QmpTimeout.  Messages are dictionaries as they are on the wire; events that come while an answer is
awaited are kept, in order, for event().
"""

import json
import signal
import socket
import subprocess
import time
from collections import deque
from pathlib import Path

# Seconds; much more than anything takes on a busy machine under a sanitizer.
PATIENCE = 60


class QmpError(Exception):
    """A command failed; @error_class and @desc are what the program said."""

    def __init__(self, request, error):
        super().__init__(f"{request}: {error['class']}: {error['desc']}")
        self.error_class = error['class']
        self.desc = error['desc']


class QmpTimeout(Exception):
    """What was waited for did not come."""


class QmpClosed(Exception):
    """The program closed the connection."""


class QmpClient:
    """
    One connection to a monitor.

    @events: those that have come and were not asked for yet, oldest first.
    """

    def __init__(self, connection, negotiate=True):
        """@connection: a socket.  Reads the greeting, and sends qmp_capabilities if @negotiate."""
        self._socket = connection
        self._unparsed = b''
        self.events = deque()
        self.greeting = self.receive()['QMP']
        if negotiate:
            self.command('qmp_capabilities')

    @classmethod
    def connect(cls, path, negotiate=True, patience=PATIENCE):
        """
        Connect to the socket at @path, waiting for a program that greets there.

        The socket may still be the one of a program that was just killed: it takes connections
        until the kernel has cleared up, and then they end.
        """
        deadline = time.monotonic() + patience
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
                return cls(connection, negotiate)
            except (FileNotFoundError, ConnectionRefusedError, QmpClosed):
                connection.close()
                if time.monotonic() > deadline:
                    raise QmpTimeout(f'nobody listens at {path}') from None
                time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def end_input(self):
        """Send nothing more; what the program has still to say can be received."""
        self._socket.shutdown(socket.SHUT_WR)

    # ---- messages ----

    def send(self, data):
        """Send bytes, a text, or anything else as JSON and a line's end."""
        if isinstance(data, bytes):
            self._socket.sendall(data)
        elif isinstance(data, str):
            self._socket.sendall(data.encode())
        else:
            self._socket.sendall(json.dumps(data).encode() + b'\n')

    def receive_line(self, patience=PATIENCE):
        """Return the next line as text, without its end."""
        deadline = time.monotonic() + patience
        while b'\n' not in self._unparsed:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise QmpTimeout(f'no message within {patience} s') from None
            except ConnectionResetError:
                data = b''
            finally:
                self._socket.settimeout(None)
            if not data:
                raise QmpClosed(f'the connection ended after {self._unparsed!r}')
            self._unparsed += data
        line, self._unparsed = self._unparsed.split(b'\n', 1)
        return line.decode().rstrip('\r')

    def receive(self, patience=PATIENCE):
        """Return the next message of any kind; it may span several lines (pretty=on)."""
        text = self.receive_line(patience)
        while True:
            try:
                return json.loads(text)
            except json.JSONDecodeError:
                text += '\n' + self.receive_line(patience)

    def answer(self, patience=PATIENCE):
        """Return the next message that is not an event; events before it are kept."""
        while 'event' in (message := self.receive(patience)):
            self.events.append(message)
        return message

    # ---- commands ----

    def execute(self, request, patience=PATIENCE):
        """Send @request, a complete message, and return the complete answer."""
        self.send(request)
        return self.answer(patience)

    def command(self, command, arguments=None, patience=PATIENCE, **named):
        """
        Run @command and return what it returned; QmpError where it failed.

        Arguments are given as a dictionary, or by name with `_` for `-`.
        """
        arguments = dict(arguments or {})
        arguments.update((name.replace('_', '-'), value) for name, value in named.items())
        request = {'execute': command}
        if arguments:
            request['arguments'] = arguments
        answer = self.execute(request, patience)
        if 'error' in answer:
            raise QmpError(json.dumps(request), answer['error'])
        return answer['return']

    # ---- events ----

    def event(self, name, patience=PATIENCE, **data):
        """
        Take and return the oldest event @name whose data has these members, waiting for one.

        Names of members are given with `_` for `-`.  Other events are kept.
        """
        wanted = {member.replace('_', '-'): value for member, value in data.items()}

        def fits(event):
            return event['event'] == name and wanted.items() <= event.get('data', {}).items()

        for event in self.events:
            if fits(event):
                self.events.remove(event)
                return event
        deadline = time.monotonic() + patience
        while not fits(message := self.receive(max(deadline - time.monotonic(), 0))):
            self.events.append(message)
        return message


class StorageDaemon:
    """
    A running qemu-storage-daemon.

    @qmp: a client that has negotiated; @socket_path: where to connect, once that client has left.
    """

    def __init__(self, program, socket_dir, *options, negotiate=True, stderr=None):
        """
        Start @program with @options and a monitor on a socket in @socket_dir, and connect.

        @stderr: as for subprocess.  Raises QmpTimeout, with the exit status, if it ends at once.
        """
        self.socket_path = Path(socket_dir) / 'qmp.sock'
        self.process = subprocess.Popen(
            [str(program), '--chardev', f'socket,id=qmp,path={self.socket_path},server=on,wait=off',
             '--monitor', 'chardev=qmp', *map(str, options)],
            stdin=subprocess.DEVNULL, stderr=stderr)
        self.qmp = self._connect(negotiate)

    def _connect(self, negotiate):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return QmpClient.connect(self.socket_path, negotiate, patience=0.1)
            except QmpTimeout:
                status = self.process.poll()
                if status is not None:
                    raise QmpTimeout(f'the daemon has ended with status {status}') from None
                if time.monotonic() > deadline:
                    self.kill()
                    raise

    def __enter__(self):
        return self

    def __exit__(self, error_type, *_):
        """End it; where the test has not failed, it must end well."""
        if error_type is None:
            self.stop()
        else:
            self.kill()

    def wait(self, patience=PATIENCE):
        """Wait for it to end, and return its exit status."""
        self.qmp.close()
        return self.process.wait(patience)

    def stop(self):
        """End it by SIGTERM, unless it has ended, and check that its exit status is 0."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.wait()
        if status != 0:
            raise QmpError('SIGTERM', {'class': 'exit status', 'desc': str(status)})

    def kill(self):
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()
