# SPDX-License-Identifier: GPL-2.0-or-later
"""
Image locks: each side respects those of the other, and says so in the same words.
"""

from .programs import Failure, wait_until_unlocked

QUESTION = 'Is another process using the image [{}]?'
WRITE_LOCK = 'Failed to get "write" lock'
SHARED_LOCK = 'Failed to get shared "write" lock'


def refused(case, message, image, *argv):
    """The command must fail and say that it was for a lock on @image."""
    out, err = case.run(*argv, status=1)
    for text in (message, QUESTION.format(image)):
        if text not in err:
            raise Failure(f'{case.record[-1]}: not a word of {text!r} in: {out}{err}')


def make(case, name, fmt):
    case.run(case.stock.img, 'create', '-q', '-f', fmt, name, '1M')
    return name


def holder_keeps_others_out(case, holder, other):
    image = make(case, 'writer.qcow2', 'qcow2')
    with case.hold(holder, [image], 'write -f -P 5 0 64k'):
        refused(case, WRITE_LOCK, image, other.io, '-c', 'read 0 512', image)
        refused(case, SHARED_LOCK, image, other.io, '-r', '-c', 'read 0 512', image)
        refused(case, SHARED_LOCK, image, other.img, 'info', image)
        refused(case, WRITE_LOCK, image, other.img, 'resize', image, '2M')
        case.run(other.img, 'info', '-U', image)
        case.run(other.img, 'map', '-U', image)
        case.io(other, ['-r', '-U', image], ['read -P 5 0 64k'])
        case.io(other, ['-r', '--image-opts',
                        f'driver=qcow2,force-share=on,file.filename={image}'], ['read -P 5 0 64k'])
    case.io(other, [image], ['write -P 6 0 64k'])


def readers_share_and_keep_writers_out(case, holder, other):
    image = make(case, 'reader.qcow2', 'qcow2')
    with case.hold(holder, ['-r', image], 'read -P 0 0 64k'):
        case.io(other, ['-r', image], ['read -P 0 0 64k'])
        case.run(other.img, 'check', '-q', image)
        refused(case, WRITE_LOCK, image, other.io, '-c', 'write 0 512', image)
    case.io(other, [image], ['write -P 6 0 64k'])


def raw_images_are_shared(case, holder, other):
    image = make(case, 'shared.raw', 'raw')
    with case.hold(holder, ['-f', 'raw', image], 'write -P 5 0 64k'):
        case.io(other, ['-f', 'raw', image], ['read -P 5 0 64k', 'write -P 6 64k 64k'])


def locking_can_be_switched_off(case, holder, other):
    image = make(case, 'unlocked.qcow2', 'qcow2')
    options = f'driver=qcow2,file.driver=file,file.locking=off,file.filename={image}'
    with case.hold(holder, ['-t', 'writeback', image], 'write -f -P 5 0 64k'):
        case.io(other, ['-r', '--image-opts', options], ['read -P 5 0 64k'])


def death_gives_the_locks_back(case, holder, other):
    image = make(case, 'dead.qcow2', 'qcow2')
    with case.hold(holder, [image], 'write -P 5 0 64k') as process:
        process.kill()
    wait_until_unlocked(case.path(image))
    case.io(other, [image], ['write -P 6 0 64k', 'read -P 6 0 64k'])


ALL = [holder_keeps_others_out, readers_share_and_keep_writers_out, raw_images_are_shared,
       locking_can_be_switched_off, death_gives_the_locks_back]


def locks(case, number):
    """Promise @number of ALL, with either side as the one that came first."""
    promise = ALL[number]
    case.name += ': ' + promise.__name__.replace('_', ' ')
    for holder in (case.ours, case.stock):
        promise(case, holder, case.other(holder))
