//! What a service manager is told, and how it says that it has heard (`sd_notify(3)`). Knows no restart:
//! `turn::report::manager` decides when something is to be told.
//!
//! The words are made by the crate `sd-notify`. They are sent from here, because a server may not block
//! on a manager that is slow, and because a barrier is a message with a descriptor.

use std::{
    env,
    ffi::OsStr,
    io::{self, IoSlice},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    process,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
    },
    sys::{stat::fstat, statfs::fstatfs},
    unistd::{pipe2, read},
};
use sd_notify::NotifyState;

use super::store::{Changes, Store};
use crate::log_target::SYSTEM;

/// The file system of pidfds that have numbers of their own (`linux/magic.h`).
const PIDFS: i64 = 0x5049_4446;

/// The service manager that looks after this program. Where there is none, every word is lost.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    /// Where it listens.
    address: Option<UnixAddr>,
    /// It wants a word from the main process at least this often.
    watchdog: Option<Duration>,
    /// This is the process that it takes for the service. By default (`NotifyAccess=main`) it believes no
    /// other, so no other speaks.
    is_main: bool,
    /// It must have read that, and not only may have.
    is_announced: bool,
    /// A supervisor is the main process for the manager, whichever generation serves: it has to believe the
    /// others as well (`NotifyAccess=all`).
    stable_pid: Option<u32>,
    /// Our end of a pipe whose other end it closes when it has read everything that was sent before.
    barrier: Option<OwnedFd>,
    /// What it keeps for the service.
    pub store: Store,
    /// This process tells its supervisor that it turns.
    says_turns: bool,
    /// One failure was logged, and the next would say the same.
    has_complained: bool,
}

impl Manager {
    /// Looks for it in the environment. The new side of a restart is not the process that `WATCHDOG_PID`
    /// names, and has the duty all the same, when its time comes.
    pub fn find(is_heir: bool) -> Manager {
        let address = env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let address = address(&path);
            if address.is_none() {
                log::warn!(target: SYSTEM, "NOTIFY_SOCKET={path:?} is not understood");
            }
            address
        });
        let watchdog = if is_heir {
            let usec = env::var("WATCHDOG_USEC").ok().and_then(|usec| usec.parse().ok());
            usec.map(Duration::from_micros)
        } else {
            sd_notify::watchdog_enabled()
        };
        let watchdog = watchdog.filter(|limit| address.is_some() && !limit.is_zero());
        let store = if address.is_some() { Store::find(is_heir) } else { Store::default() };
        Manager { address, watchdog, store, ..Manager::default() }
    }

    /// The main process is and remains that one, a supervisor.
    pub fn follow(&mut self, supervisor: u32) {
        self.stable_pid = Some(supervisor);
    }

    /// Whether it takes this process for the service, and would end all others with it.
    pub fn follows_us(&self) -> bool {
        self.is_main && self.address.is_some() && self.stable_pid.is_none()
    }

    /// The time from one [`ping`](Self::ping) to the next: half of what is allowed, as
    /// `sd_watchdog_enabled(3)` says.
    pub fn ping_every(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.is_main && self.stable_pid.is_none()).map(|limit| limit / 2)
    }

    /// How often a supervisor, which sends the pings, wants to hear that this process turns.
    pub fn turn_every(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.stable_pid.is_some()).map(|limit| limit / 2)
    }

    /// Whether it wants to hear that from now on, and has not before.
    pub fn begins_to_turn(&mut self) -> bool {
        self.turn_every().is_some() && !std::mem::replace(&mut self.says_turns, true)
    }

    /// Whether the manager believes this process.
    pub fn is_main(&self) -> bool {
        self.is_main
    }

    /// This is the main process from now on: the manager has started it, or is told by the old one.
    pub fn take_over(&mut self) {
        (self.is_main, self.is_announced) = (true, true);
    }

    /// The same, and it may not have read of it yet, so that what is said may be in vain.
    pub fn take_over_early(&mut self) {
        (self.is_main, self.is_announced) = (true, false);
    }

    /// By now it must have read that.
    pub fn is_believed(&mut self) {
        self.is_announced = true;
    }

    /// This is not the main process, or not any more.
    pub fn fall_silent(&mut self) {
        (self.is_main, self.says_turns) = (false, false);
    }

    /// Nor will it ever be: another generation has ended it, and speaks for the service.
    pub fn leave_to_others(&mut self) {
        self.address = None;
    }

    /// The program serves for the first time.
    pub fn ready(&mut self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(line(status))]);
    }

    /// This process serves and stays what it was, or has become it: after a restart that came to nothing,
    /// or after the old side's death.
    pub fn still_ready(&mut self, status: &str) {
        let main = NotifyState::MainPid(self.stable_pid.unwrap_or(process::id()));
        self.tell(&[main, NotifyState::Ready, NotifyState::Status(line(status))]);
    }

    /// A restart begins.
    pub fn reloading(&mut self, status: &str) {
        // It is compared with the moment of the manager's own request, so it has to be of now.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                let status = NotifyState::Status(line(status));
                self.tell(&[NotifyState::Reloading, now, status]);
            }
            Err(e) => self.complain(&e),
        }
    }

    /// The service ends; there is no successor.
    pub fn stopping(&mut self, status: &str) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(line(status))]);
    }

    /// This process is alive and turns.
    pub fn ping(&mut self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// The successor is the main process: in one message, which only this one may send, and which counts
    /// as a ping, so that the successor's first has its full time. Then a [barrier](Self::barrier).
    ///
    /// Its pidfd tells which process is meant, should the number be somebody else's by the time it is read
    /// (`MAINPIDFDID=`, since systemd 257; an older one ignores it, where a descriptor, `MAINPIDFD=1`, would be a warning).
    pub fn hand_over(&mut self, successor: u32, pidfd: BorrowedFd<'_>, status: &str) {
        let main = NotifyState::MainPid(self.stable_pid.unwrap_or(successor));
        let id = pidfd_id(pidfd).filter(|_| self.stable_pid.is_none());
        let id = id.map(|id| format!("MAINPIDFDID={id}"));
        let mut words = vec![main, NotifyState::Ready, NotifyState::Status(line(status))];
        words.extend(id.as_deref().map(NotifyState::Custom));
        words.extend(self.watchdog.map(|_| NotifyState::Watchdog));
        let told = self.tell(&words);
        if told && let Err(e) = self.raise_barrier() {
            self.complain(&e);
        }
        self.is_main = false;
    }

    /// Whether it keeps descriptors for this process, should that end without a word. Of a supervised service they
    /// are the supervisor's to keep.
    pub fn keeps(&self) -> bool {
        self.is_main && self.is_announced && self.may_keep()
    }

    /// Whether it may do so later.
    pub fn may_keep(&self) -> bool {
        self.store.is_there() && self.stable_pid.is_none()
    }

    /// It is to keep these sockets, and no other.
    pub fn keep_listeners<'fd>(&mut self, all: impl Iterator<Item = (String, BorrowedFd<'fd>)>) {
        if self.keeps() {
            let Changes { outdated, new } = self.store.listeners(all);
            self.no_longer_keep(&outdated);
            new.into_iter().for_each(|(name, fd)| self.keep(&name, fd));
            if let Some((count, room)) = self.store.is_overfull() {
                let why =
                    format!("FileDescriptorStoreMax={room} has no room for {count} descriptors");
                self.complain(&io::Error::other(why));
            }
        }
    }

    /// It is to keep this state, in place of any other.
    pub fn keep_state(&mut self, worker: u32, memory: BorrowedFd<'_>) {
        if self.keeps() {
            let Changes { outdated, new } = self.store.state(worker, memory);
            new.into_iter().for_each(|(name, fd)| self.keep(&name, fd));
            self.no_longer_keep(&outdated);
        }
    }

    /// The same, by a new program that does not know which one is there, and with a copy that bridges the moment.
    pub fn keep_first_state(&mut self, worker: u32, memory: BorrowedFd<'_>, copy: BorrowedFd<'_>) {
        if self.keeps() {
            let (bridge, outdated, name) = self.store.first_state(worker, memory);
            self.keep(&bridge, copy);
            self.no_longer_keep(&outdated);
            self.keep(&name, memory);
            self.no_longer_keep(&[bridge]);
        }
    }

    /// What it keeps under these names is outdated.
    pub fn no_longer_keep(&mut self, names: &[String]) {
        for name in names {
            self.say(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[]);
        }
    }

    /// It drops a socket by itself when that listens no more.
    fn keep(&mut self, name: &str, fd: BorrowedFd<'_>) {
        self.say(&format!("FDSTORE=1\nFDNAME={name}"), &[fd.as_raw_fd()]);
    }

    /// What becomes readable when the manager has read everything. A process that ends before may be
    /// gone before the manager has asked the kernel which service it belonged to, and its last words
    /// with it (systemd issue 2737).
    pub fn barrier(&self) -> Option<&OwnedFd> {
        self.barrier.as_ref()
    }

    /// Whether the manager has closed its end.
    pub fn is_past_barrier(&self) -> bool {
        let mut byte = [0];
        self.barrier.as_ref().is_some_and(|barrier| read(barrier, &mut byte) == Ok(0))
    }

    /// Waits for it no longer.
    pub fn drop_barrier(&mut self) -> Option<OwnedFd> {
        self.barrier.take()
    }

    fn raise_barrier(&mut self) -> io::Result<()> {
        let Some(address) = &self.address else { return Ok(()) };
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        send(address, b"BARRIER=1", &[theirs.as_raw_fd()])?;
        self.barrier = Some(ours);
        Ok(())
    }

    fn tell(&mut self, words: &[NotifyState<'_>]) -> bool {
        let text: Vec<_> = words.iter().map(ToString::to_string).collect();
        self.say(&text.join("\n"), &[])
    }

    /// Tells whether it was sent.
    fn say(&mut self, text: &str, fds: &[RawFd]) -> bool {
        let Some(address) = self.address.as_ref().filter(|_| self.is_main) else { return false };
        log::debug!(target: SYSTEM, "to the service manager: {text:?}");
        match send(address, text.as_bytes(), fds) {
            Ok(()) => true,
            Err(e) => {
                self.complain(&e);
                false
            }
        }
    }

    fn complain(&mut self, e: &io::Error) {
        if !std::mem::replace(&mut self.has_complained, true) {
            log::warn!(target: SYSTEM, "the service manager cannot be told: {e}");
        }
    }
}

/// `/path`, or `@name` for a name in the abstract name space.
fn address(path: &OsStr) -> Option<UnixAddr> {
    match path.as_bytes() {
        [b'/', ..] => UnixAddr::new(path).ok(),
        [b'@', name @ ..] => UnixAddr::new_abstract(name).ok(),
        _ => None,
    }
}

/// One message. It is lost where the manager's queue is full: that takes as many unread ones as
/// `net.unix.max_dgram_qlen` says, 512 under systemd, of which a server sends three in a restart.
fn send(address: &UnixAddr, text: &[u8], fds: &[RawFd]) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let rights = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    loop {
        let iov = [IoSlice::new(text)];
        match sendmsg(socket.as_raw_fd(), &iov, control, MsgFlags::MSG_NOSIGNAL, Some(address)) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop).map_err(io::Error::from),
        }
    }
}

/// The number that this process alone has until the next boot, where pidfds have one (since Linux 6.9).
fn pidfd_id(pidfd: BorrowedFd<'_>) -> Option<u64> {
    let is_known = fstatfs(pidfd).is_ok_and(|it| it.filesystem_type().0 == PIDFS);
    let file = fstat(pidfd).ok().filter(|_| is_known)?;
    Some(file.st_ino)
}

/// The first line: what comes after it would be read as further words.
fn line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn an_address_is_a_path_or_a_name() {
        let path = address(OsStr::new("/run/notify")).unwrap();
        assert_eq!(path.path(), Some(std::path::Path::new("/run/notify")));
        let name = address(OsStr::new("@name")).unwrap();
        assert_eq!(name.as_abstract(), Some(&b"name"[..]));
        for other in ["", "notify", "vsock:2:1234"] {
            assert_eq!(address(OsStr::new(other)), None);
        }
    }

    #[test]
    fn a_status_is_one_line_so_that_it_is_no_other_word() {
        assert_eq!(line("it failed:\nMAINPID=1"), "it failed:");
        assert_eq!(line(""), "");
    }

    #[test]
    fn where_nobody_listens_nothing_is_said() {
        let mut manager = Manager::default();
        manager.take_over();
        manager.ready("");
        let pipe = pipe2(OFlag::O_CLOEXEC).unwrap().0;
        manager.hand_over(1, pipe.as_fd(), "");
        assert!(manager.barrier().is_none() && !manager.has_complained);
        assert!(!manager.follows_us());
    }
}
