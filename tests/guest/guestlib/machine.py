# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest: stock QEMU, a stock kernel, and an agent that runs scripts for the test.

The kernel's messages go to a file of their own; one that tells of a bug ends the test.
"""

import re
import select
import socket
import subprocess
import time
from pathlib import Path

from .archive import Archive, libraries, run_unpacked

AGENT = Path(__file__).resolve().parent.parent / 'agent'
PROGRAMS = 'qemu-storage-daemon', 'qemu-img', 'qemu-io'
KERNEL_BUGS = re.compile(rb'.*(?:Kernel panic|BUG: |WARNING: |Oops: |general protection fault'
                         rb'|blocked for more than|KASAN|UBSAN|stack segment|Call Trace:).*')
# Seconds; the emulated machine is slow, and the real one may be busy with something else.
BOOT_PATIENCE = 400
PATIENCE = 600
# What a busy machine would make the kernel complain about is turned off.
KERNEL_ARGUMENTS = ('console=ttyS0 loglevel=5 panic=-1 nowatchdog '
                    'rcupdate.rcu_cpu_stall_suppress=1 nokaslr mitigations=off tsc=reliable')


class GuestError(Exception):
    """The guest did not do what it was asked to; the text says what happened."""


class Result:
    """What a script that ran in the guest left: @status, @output, and @errors, both text."""

    def __init__(self, status, output, errors):
        self.status, self.raw = status, output
        self.output = output.decode(errors='replace')
        self.errors = errors.decode(errors='replace')


def build_archive(build_dir, path):
    """Write the archive of the agent and of what was built in @build_dir."""
    archive = Archive()
    for name in 'init', 'shell':
        archive.add_program(name, (AGENT / name).read_bytes())
    for name in 'functions', 'system':
        archive.add(name, (AGENT / name).read_bytes())
    for name in PROGRAMS:
        program = build_dir / name
        if not program.exists():
            continue
        # They need the libraries of the machine where they were built, which are not the guest's.
        needed = libraries(['ldd', str(program)])
        loader = next(library for library in needed if library.startswith('ld-'))
        for library, source in needed.items():
            archive.add_program(f'opt/build/lib/{library}', source.read_bytes())
        archive.add_program(f'opt/build/libexec/{name}', program.read_bytes())
        archive.add_program(f'opt/build/bin/{name}', (
            f'#!/bin/sh\nexec /opt/build/lib/{loader} --argv0 "$0" --library-path /opt/build/lib '
            f'/opt/build/libexec/{name} "$@"\n').encode())
    archive.write(path)


def emulator(cache, *arguments):
    """Return the command that runs the cache's QEMU."""
    share = cache.root / 'usr/share'
    return run_unpacked(cache.root, 'usr/bin/qemu-system-x86_64', '-L', share / 'qemu',
                        '-L', share / 'seabios', *arguments)


def machine_arguments(options):
    """Return QEMU's arguments for a machine whose memory a vhost-user back-end can share."""
    accel = f'{options.accel},thread=multi' if options.accel == 'tcg' else options.accel
    return ['-accel', accel, '-machine', 'q35,memory-backend=ram',
            '-object', f'memory-backend-memfd,id=ram,size={options.memory}M,share=on',
            '-m', f'{options.memory}M', '-smp', str(options.cpus)]


def vhost_user_disk(name, path, num_queues, zoned=True, reconnects=False):
    """
    Return QEMU's arguments for the disk called @name behind the socket @path.

    @zoned: a device that passes every feature on to the guest; QEMU's own one for disks does not
    know zones, but can connect again after the back-end has gone (@reconnects).
    """
    device = (f'vhost-user-test-device-pci,virtio-id=2,config_size=96,vq_size=128,'
              f'num_vqs={num_queues}' if zoned else f'vhost-user-blk-pci,num-queues={num_queues}')
    return ['-chardev', f'socket,id={name},path={path}{",reconnect-ms=100" if reconnects else ""}',
            '-device', f'{device},chardev={name}']


class Machine:
    """
    A running guest.

    Used as a context it is powered off at the end, and its kernel must not have complained.
    """

    def __init__(self, cache, folder, sets, archives, devices, options):
        """
        Boot with the archives of @sets, those at @archives, and the QEMU arguments @devices; returns
        when scripts can be run.  @folder must be empty, or that of a machine which has been powered
        off.
        @options: accel, memory (MiB), cpus, build_archive (a path).
        """
        self.folder = folder
        self.console = folder / 'console'
        self.is_off = False
        self._seen = 0
        self._unread = b''
        listener = socket.socket(socket.AF_UNIX)
        agent = folder / 'agent.sock'
        agent.unlink(missing_ok=True)
        self.console.unlink(missing_ok=True)
        listener.bind(str(agent))
        listener.listen(1)
        initrd = folder / 'initrd'
        with open(initrd, 'wb') as out:
            for part in [*cache.archives(['base', *sets]), *archives, options.build_archive]:
                out.write(part.read_bytes())
        self.stderr = open(folder / 'qemu.log', 'w+', encoding='utf-8')
        self.process = subprocess.Popen(
            self._command(cache, options, initrd, agent, devices), stdin=subprocess.DEVNULL,
            stdout=self.stderr, stderr=self.stderr)
        try:
            self._port = self._accept(listener)
            self._wait_ready()
        except BaseException:
            self.kill()
            raise
        finally:
            listener.close()
            initrd.unlink()

    def _command(self, cache, options, initrd, agent, devices):
        return emulator(
            cache, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
            *machine_arguments(options),
            '-kernel', cache.kernel, '-initrd', initrd, '-append', KERNEL_ARGUMENTS,
            '-chardev', f'file,id=console,path={self.console}', '-serial', 'chardev:console',
            '-device', 'virtio-serial-pci', '-chardev', f'socket,id=agent,path={agent}',
            '-device', 'virtserialport,chardev=agent,name=agent', *devices)

    def __enter__(self):
        return self

    def __exit__(self, error_type, *_):
        if error_type is not None:
            self.kill()
        elif not self.is_off:
            self.power_off()

    # ---- the agent ----

    def _accept(self, listener):
        listener.settimeout(0.5)
        deadline = time.monotonic() + BOOT_PATIENCE
        while time.monotonic() < deadline:
            try:
                connection, _ = listener.accept()
                return connection
            except TimeoutError:
                self._check_alive()
        raise GuestError('QEMU does not connect to the agent\'s socket')

    def _wait_ready(self):
        if self._read_line(time.monotonic() + BOOT_PATIENCE) != b'ready':
            raise GuestError('the agent does not say that it is ready')

    def _check_alive(self):
        self.check_console()
        if self.process.poll() is not None:
            raise GuestError(f'QEMU has ended with status {self.process.returncode}: '
                             f'{self._tail(self.folder / "qemu.log")}')

    def check_console(self):
        """Raise GuestError if the kernel has complained since the last look."""
        if not self.console.exists():
            return                      # QEMU has just been started
        with open(self.console, 'rb') as console:
            console.seek(self._seen)
            text = console.read()
        if bug := KERNEL_BUGS.search(text):
            # The rest of the complaint comes right after it.
            time.sleep(2)
            raise GuestError(f'the kernel said: {bug[0].decode(errors="replace").strip()}')
        # The last line may not be complete.
        self._seen += text.rfind(b'\n') + 1

    def _more(self, deadline):
        """Read what has come from the agent, waiting until @deadline."""
        while True:
            readable, _, _ = select.select([self._port], [], [], 0.5)
            if readable:
                break
            self._check_alive()
            if time.monotonic() > deadline:
                raise GuestError(f'no answer in time; last from the kernel: '
                                 f'{self._tail(self.console)}')
        data = self._port.recv(1 << 20)
        if not data:
            self.process.wait(30)
            self._check_alive()
        self._unread += data

    def _read_line(self, deadline):
        while b'\n' not in self._unread:
            self._more(deadline)
        line, self._unread = self._unread.split(b'\n', 1)
        return line

    def _read(self, length, deadline):
        while len(self._unread) < length:
            self._more(deadline)
        data, self._unread = self._unread[:length], self._unread[length:]
        return data

    def _request(self, line, content, patience):
        deadline = time.monotonic() + patience
        self._port.sendall(line.encode() + b'\n' + content)
        answer = self._read_line(deadline).split()
        if len(answer) != 4 or answer[0] != b'done':
            raise GuestError(f'not an answer of the agent: {answer}')
        status, output, errors = map(int, answer[1:])
        return Result(status, self._read(output, deadline), self._read(errors, deadline))

    # ---- for tests ----

    def run(self, script, patience=PATIENCE):
        """Run a bash script and return its Result, whatever its status is."""
        script = script.encode()
        result = self._request(f'run {len(script)}', script, patience)
        self.check_console()
        return result

    def sh(self, script, patience=PATIENCE):
        """Run a bash script that must succeed, and return its output without the last newline."""
        result = self.run(script, patience)
        if result.status != 0:
            raise GuestError(f'status {result.status} of:\n{script.strip()}\n'
                             f'{result.output}{result.errors}'.rstrip())
        return result.output.rstrip('\n')

    def put(self, path, content):
        """Write a file of the guest, in a folder that is there."""
        result = self._request(f'put {len(content)} {path}', content, PATIENCE)
        if result.status != 0:
            raise GuestError(f'cannot write {path}: {result.errors}')

    def power_off(self):
        """Unmount everything, turn the power off, and wait for QEMU to end.  Once at most."""
        self._check_alive()
        self._port.sendall(b'off\n')
        self.is_off = True
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.kill()
                raise GuestError('the guest does not power off')
            time.sleep(0.05)
        self.check_console()
        if self.process.returncode != 0:
            raise GuestError(f'QEMU has ended with status {self.process.returncode}: '
                             f'{self._tail(self.folder / "qemu.log")}')

    def kill(self):
        """End it as a power failure would."""
        self.process.kill()
        self.process.wait()

    @staticmethod
    def _tail(path):
        lines = path.read_text(errors='replace').splitlines() if path.exists() else []
        return '\n'.join(lines[-20:])
