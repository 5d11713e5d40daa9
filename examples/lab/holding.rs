//! What a service may hold that heirloom does not know, opened on request: `take KIND [WHAT]`. It stays open
//! until `drop-taken`.
#![allow(unsafe_code)] // mmap, and calls that have no safe wrapper

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::{TcpStream, UdpSocket},
    num::NonZero,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process, ptr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use heirloom::{Net, Result};
use nix::{
    fcntl::{FcntlArg, Flock, FlockArg, fcntl},
    sys::{
        epoll::{Epoll, EpollCreateFlags},
        eventfd::{EfdFlags, EventFd},
        inotify::{AddWatchFlags, InitFlags, Inotify},
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, ProtFlags, mmap},
        signal::{
            SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal, sigaction,
        },
        signalfd::{SfdFlags, SignalFd},
        timer::Timer,
        timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    time::ClockId,
};

use crate::requests::number;

/// How often `SIGUSR1` was handled.
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_one(_signal: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

pub fn handled() -> u64 {
    HANDLED.load(Ordering::Relaxed)
}

/// Sets a handler for `SIGUSR1`, as libraries do.
pub fn handle_usr1() {
    let action = SigAction::new(SigHandler::Handler(count_one), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing but add to an atomic number.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("a handler");
}

/// What was taken.
#[derive(Default)]
pub struct Holding {
    taken: Vec<OwnedFd>,
    /// Whose owner lets go of the lock when it goes.
    locked: Vec<Flock<File>>,
    timers: Vec<Timer>,
}

impl Holding {
    /// A request and its answer: the number of the descriptor; `None`: it is none of these.
    pub fn handle(&mut self, net: &mut Net, verb: &str, rest: &str) -> Result<Option<String>> {
        let done = || Ok(Some("ok".to_owned()));
        let (kind, what) = rest.split_once(' ').unwrap_or((rest, ""));
        match (verb, kind) {
            ("drop-taken", _) => {
                *self = Holding::default();
                done()
            }
            ("shares", _) => {
                net.shares(rest);
                done()
            }
            ("shares-taken", _) => {
                self.taken.iter().for_each(|fd| net.shares_descriptor(fd));
                self.locked.iter().for_each(|file| net.shares_descriptor(&**file));
                done()
            }
            ("take", "timer") => {
                let event = SigEvent::new(SigevNotify::SigevNone);
                let timer = Timer::new(ClockId::CLOCK_MONOTONIC, event).map_err(io::Error::from)?;
                self.timers.push(timer);
                done()
            }
            ("take", "many") => {
                let pipe = OwnedFd::from(io::pipe()?.0);
                for _ in 0..number(what)? {
                    self.taken.push(pipe.try_clone()?);
                }
                done()
            }
            ("take", "mapping") => {
                map(what)?;
                done()
            }
            ("take", "flock") => {
                let how = FlockArg::LockExclusiveNonblock;
                let file = Flock::lock(open(what)?, how).map_err(|(_, e)| io::Error::from(e))?;
                self.locked.push(file);
                Ok(self.locked.last().map(|file| file.as_raw_fd().to_string()))
            }
            ("take", _) => {
                self.taken.push(take(kind, what)?);
                Ok(self.taken.last().map(|fd| fd.as_raw_fd().to_string()))
            }
            _ => Ok(None),
        }
    }
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

fn take(kind: &str, what: &str) -> io::Result<OwnedFd> {
    Ok(match kind {
        "file" => open(what)?.into(),
        "deleted" => {
            let file = open(what)?;
            fs::remove_file(what)?;
            file.into()
        }
        "directory" | "device" => File::open(what)?.into(),
        "fcntl" | "ofd" => {
            let file = open(what)?;
            lock(&file, kind == "ofd")?;
            file.into()
        }
        "tcp" => TcpStream::connect(what)?.into(),
        "udp" => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(what)?;
            socket.into()
        }
        "unix" => UnixStream::connect(what)?.into(),
        "pair" => UnixStream::pair()?.0.into(),
        "pipe" => io::pipe()?.0.into(),
        "eventfd" => EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?.into(),
        "timerfd" => {
            let clock = timerfd::ClockId::CLOCK_MONOTONIC;
            let timer = TimerFd::new(clock, TimerFlags::TFD_CLOEXEC)?;
            let every = Expiration::Interval(Duration::from_secs(3600).into());
            timer.set(every, TimerSetTimeFlags::empty())?;
            timer.into()
        }
        "signalfd" => SignalFd::with_flags(&SigSet::empty(), SfdFlags::SFD_CLOEXEC)?.into(),
        "inotify" => {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
            inotify.add_watch(what, AddWatchFlags::IN_MODIFY)?;
            inotify.into()
        }
        "epoll" => Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?.0,
        "pidfd" => call(libc::SYS_pidfd_open, process::id() as i32, ptr::null_mut())?,
        "io_uring" => call(libc::SYS_io_uring_setup, 2, [0; RING_PARAMETERS].as_mut_ptr())?,
        "memfd" => memfd_create(what, MFdFlags::MFD_CLOEXEC)?,
        "stderr" => io::stderr().as_fd().try_clone_to_owned()?,
        _ => return Err(io::Error::other(format!("what is {kind:?}?"))),
    })
}

/// The size of `struct io_uring_params`.
const RING_PARAMETERS: usize = 120;

/// A call that makes a descriptor, close-on-exec, of a number and of bytes that it may change.
fn call(number: libc::c_long, what: i32, bytes: *mut u8) -> io::Result<OwnedFd> {
    // SAFETY: the caller knows the call, and that it writes to no more bytes than there are. The descriptor is
    // new, and nobody else knows it.
    unsafe {
        match libc::syscall(number, what, bytes) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd as i32)),
        }
    }
}

/// Bytes 10 to 19, by this process or by the open file description.
fn lock(file: &File, by_description: bool) -> io::Result<()> {
    let range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 10,
        l_len: 10,
        l_pid: 0,
    };
    let how = match by_description {
        true => FcntlArg::F_OFD_SETLK(&range),
        false => FcntlArg::F_SETLK(&range),
    };
    fcntl(file, how)?;
    Ok(())
}

/// Maps a memfd of that name for good; its descriptor is closed.
fn map(name: &str) -> io::Result<()> {
    const SIZE: NonZero<usize> = NonZero::new(4096).unwrap();
    let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?);
    file.set_len(SIZE.get() as u64)?;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses a place that is free, and nobody here reads or writes there.
    unsafe { mmap(None, SIZE, rights, MapFlags::MAP_SHARED, file, 0)? };
    Ok(())
}
