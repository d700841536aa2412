# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian packages, unpacked into a folder of our own: QEMU, the kernel and the tools of the guest.

apt finds, verifies and downloads them with a configuration that shares nothing with the machine's
but the proxy settings and the address of the mirror, so that no root is needed and nothing is
installed.  What was downloaded before an interruption is not downloaded again.
"""

import glob
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

DEFAULT_MIRROR = 'http://deb.debian.org/debian'
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
SUITES = 'trixie trixie-backports bookworm-backports'

WANTED = '''
    qemu-system-x86 linux-image-amd64
    bash coreutils diffutils findutils gawk grep sed procps kmod mount util-linux util-linux-extra
    iproute2 nvme-cli
    fio btrfs-progs e2fsprogs f2fs-tools xfsprogs zonefs-tools
'''.split()

# Needed by maintainer scripts, or by scripts that nobody runs in the guest.
UNNEEDED = '''
    adduser base-passwd debconf dpkg initramfs-tools libsemanage2 linux-base login.defs passwd
    perl perl-base python3 python3-dbus systemd
'''.split()

# QEMU of the backports, and the older release's backported kernel; all else is trixie's.
PREFERENCES = '''\
Package: *
Pin: release n=bookworm-backports
Pin-Priority: -1

Package: linux-image-*
Pin: release n=bookworm-backports
Pin-Priority: 990

Package: qemu-system-* seabios ipxe-qemu
Pin: release n=trixie-backports
Pin-Priority: 990
'''


class PackageError(Exception):
    """The packages cannot be had; the text is the reason for which tests are skipped."""


def machine_mirror():
    """Return the Debian mirror that the machine itself uses, or the public one."""
    for path in sorted(glob.glob('/etc/apt/sources.list') +
                       glob.glob('/etc/apt/sources.list.d/*.list') +
                       glob.glob('/etc/apt/sources.list.d/*.sources')):
        for line in Path(path).read_text(errors='replace').splitlines():
            if not line.lstrip().startswith('#'):
                if found := re.search(r'\bhttps?://\S+/debian(?=/?(\s|$))', line):
                    return found[0]
    return DEFAULT_MIRROR


class Apt:
    """apt-get with everything it reads and writes below @folder."""

    def __init__(self, folder, mirror):
        self.folder = folder
        self.config = folder / 'apt.conf'
        for name in ('etc/sources.d', 'etc/apt.conf.d', 'etc/preferences.d', 'lists/partial',
                     'cache/archives/partial'):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / 'etc/sources.d/debian.sources').write_text(
            f'Types: deb\nURIs: {mirror}\nSuites: {SUITES}\nComponents: main\n'
            f'Signed-By: {KEYRING}\n')
        (folder / 'etc/preferences').write_text(PREFERENCES)
        (folder / 'status').write_text(''.join(
            f'Package: {name}\nStatus: install ok installed\nVersion: 999\nArchitecture: all\n'
            f'Multi-Arch: allowed\nMaintainer: nobody\nDescription: not needed\n\n'
            for name in UNNEEDED))
        self._write_config()

    def _write_config(self):
        # How the machine reaches the network holds for us too; its hooks and paths do not.
        proxies = [line for line in self._output('apt-config', 'dump', 'Acquire', env=os.environ)
                   if re.match(r'Acquire::\w+::(Proxy|Proxy-Auto-Detect|Ca\w+|Verify-\w+)\b', line)]
        self.config.write_text('\n'.join([
            f'Dir "{self.folder}/";', f'Dir::Etc "{self.folder}/etc/";',
            'Dir::Etc::sourceparts "sources.d";', f'Dir::State "{self.folder}/";',
            f'Dir::State::status "{self.folder}/status";', f'Dir::Cache "{self.folder}/cache/";',
            f'Dir::Log "{self.folder}/";', 'Dir::Bin::methods "/usr/lib/apt/methods";',
            'APT::Architecture "amd64";', 'APT::Architectures { "amd64"; };',
            'APT::Install-Recommends "false";', 'APT::Sandbox::User "root";',
            'Acquire::Languages "none";', 'Acquire::Retries "3";', 'Acquire::http::Timeout "30";',
            *proxies, '']))

    def _output(self, *command, env=None):
        env = env or {**os.environ, 'APT_CONFIG': str(self.config), 'LC_ALL': 'C.UTF-8'}
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith('E:')]
            raise PackageError(f'{command[0]} {command[1]}: {errors[0] if errors else done.stderr}')
        return done.stdout.splitlines()

    def update(self):
        """Download the lists of packages; their signatures are verified."""
        self._output('apt-get', 'update', '-o', 'APT::Update::Error-Mode=any')

    def solve(self):
        """Return the file names of the packages wanted and of all that they depend on."""
        lines = self._output('apt-get', 'install', '-qq', '--print-uris', *WANTED)
        return [unquote(line.split()[1]).replace(':', '%3a') for line in lines
                if line.startswith("'")]

    def download(self):
        """Download what solve() names; apt verifies sizes and hashes."""
        self._output('apt-get', 'install', '-qq', '-y', '--download-only', *WANTED)


def unpack_one(package, target):
    """Unpack file @package into @target, without manuals and translations."""
    tar = ['tar', '-x', '-C', target, '--no-same-owner', '--keep-directory-symlink',
           *(f'--exclude=./usr/share/{name}' for name in ('doc', 'man', 'locale', 'info'))]
    with subprocess.Popen(['dpkg-deb', '--fsys-tarfile', package],
                          stdout=subprocess.PIPE) as content:
        done = subprocess.run(tar, stdin=content.stdout, stderr=subprocess.PIPE, text=True,
                              check=False)
    if content.returncode != 0 or done.returncode != 0:
        raise PackageError(f'cannot unpack {package.name}: {done.stderr.strip()}')


def unpack(archives, names, target):
    """Unpack the packages @names of folder @archives as the new folder @target."""
    partial = target.with_name(target.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    # Some packages put files there, some into usr: both shall be the same.
    for name in ('bin', 'sbin', 'lib', 'lib64'):
        (partial / 'usr' / name).mkdir(parents=True)
        (partial / name).symlink_to(f'usr/{name}')
    for name in names:
        unpack_one(archives / name, partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def fetch(folder, mirror, say):
    """Have the packages unpacked in @folder / root and their names in @folder / packages."""
    for program in ('apt-get', 'dpkg-deb'):
        if not shutil.which(program):
            raise PackageError(f'{program} is not there: not a Debian system')
    if not os.path.exists(KEYRING):
        raise PackageError(f'{KEYRING} is not there: install debian-archive-keyring')
    apt = Apt(folder / 'apt', mirror)
    say(f'reading the lists of packages at {mirror}')
    apt.update()
    names = apt.solve()
    say(f'downloading {len(names)} packages')
    apt.download()
    say('unpacking')
    unpack(folder / 'apt/cache/archives', names, folder / 'root')
    (folder / 'packages').write_text(''.join(f'{name}\n' for name in sorted(names)))
    # Unpacked they are not needed any more, and together as large.
    shutil.rmtree(folder / 'apt')
