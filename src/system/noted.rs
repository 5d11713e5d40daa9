//! Descriptors that somebody else owns: which ones there are, what each leads to, and closing in a forked
//! child those that the parent goes on with.
//!
//! A number is closed here while a value that is never used again still has it. That is sound as long as nobody
//! else has got the number by then, so each is looked at before: what it leads to has to be what it led to when it
//! was noted (`fstat(2)`; what has no inode of its own, such as a timerfd, by its kind).
//!
//! What a library keeps for the whole program may be opened while a value is made: a log file, or the pipe that wakes
//! all of its loops. Its number is used in the child as well, so it must not be closed there. Nobody outside
//! waits for the end of such a thing; those that may be one are left alone ([`is_inward`]).
#![allow(unsafe_code)] // a number is asked whose peer it has

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::PathBuf,
    process,
    rc::{Rc, Weak},
};

use nix::{
    dir::Dir,
    fcntl::OFlag,
    sys::{
        socket::{getsockopt, sockopt},
        stat::Mode,
    },
    unistd,
};

use crate::log_target::SYSTEM;

/// The numbers of all descriptors that are open.
fn open_now() -> io::Result<BTreeSet<RawFd>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = Dir::open("/proc/self/fd", flags, Mode::empty())?;
    let own = dir.as_raw_fd(); // free again when this returns
    let mut found = BTreeSet::new();
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name().to_str().unwrap_or_default();
        found.extend(name.parse().ok().filter(|&number: &RawFd| number != own)); // `.` and `..` are none
    }
    Ok(found)
}

fn link(fd: RawFd) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// Whether it may be the program's and not the value's, of those that were opened with it: a file or a device, or a
/// pair of sockets or a pipe that this process has both ends of.
fn is_inward(fd: RawFd, opened: &BTreeSet<RawFd>) -> bool {
    let Some(end) = link(fd) else { return false };
    let text = end.to_string_lossy();
    match text.split_once(':') {
        Some(("socket", _)) => is_own_peer(fd),
        Some(("pipe", _)) => {
            opened.iter().any(|&other| other != fd && link(other).as_ref() == Some(&end))
        }
        _ => text.starts_with('/'),
    }
}

/// Of a Unix socket: this process has made its other end as well.
fn is_own_peer(fd: RawFd) -> bool {
    // SAFETY: it was open a moment ago, in a process in which nobody else closes anything meanwhile. If it is not,
    // the call answers that.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let peer = getsockopt(&fd, sockopt::PeerCredentials);
    peer.is_ok_and(|peer| peer.pid().unsigned_abs() == process::id())
}

/// What a descriptor leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    /// Of what shares one inode with all others of all kinds: `anon_inode:[timerfd]`.
    kind: Option<PathBuf>,
}

impl Identity {
    fn of(fd: RawFd) -> Option<Identity> {
        let link = link(fd)?;
        let file = fs::metadata(format!("/proc/self/fd/{fd}")).ok()?; // of what it leads to
        let is_anonymous = link.to_string_lossy().starts_with("anon_inode:");
        let kind = is_anonymous.then_some(link);
        Some(Identity { device: file.dev(), inode: file.ino(), kind })
    }
}

/// The descriptors of one value, as they were when they were noted.
#[derive(Debug)]
pub(super) struct Noted {
    /// The process that they belong to.
    pub process: u32,
    /// In a forked child: they were closed.
    left: bool,
    found: Vec<(RawFd, Identity)>,
}

thread_local! {
    /// Of all values of this thread. Before a fork there is no other one.
    static NOTED: RefCell<Vec<Weak<RefCell<Noted>>>> = const { RefCell::new(Vec::new()) };
}

impl Noted {
    /// Of a value that this process makes.
    pub fn new() -> Rc<RefCell<Noted>> {
        let noted = Noted { process: process::id(), left: false, found: Vec::new() };
        let noted = Rc::new(RefCell::new(noted));
        NOTED.with_borrow_mut(|all| {
            all.retain(|one| one.strong_count() > 0);
            all.push(Rc::downgrade(&noted));
        });
        noted
    }

    /// They are this process's own. The id tells of a fork that this library has not made.
    pub fn is_ours(&self) -> bool {
        !self.left && self.process == process::id()
    }

    /// They are these, and no others.
    pub fn replace(&mut self, fds: impl IntoIterator<Item = RawFd>) {
        self.found.clear();
        fds.into_iter().for_each(|fd| self.note(fd));
    }

    fn note(&mut self, fd: RawFd) {
        self.found.extend(Identity::of(fd).map(|identity| (fd, identity)));
    }

    /// What there is before something is done that opens more, or opens anew. What has lost its number since it
    /// was noted is forgotten: another one's may be there.
    pub fn before(&mut self) -> BTreeSet<RawFd> {
        self.found.retain(|(fd, identity)| Identity::of(*fd).as_ref() == Some(identity));
        open_or_say()
    }

    /// What was opened since `before`, and what has the number now of one that was noted.
    pub fn note_since(&mut self, before: &BTreeSet<RawFd>) {
        let had = std::mem::take(&mut self.found).into_iter().map(|(fd, _)| fd);
        // Where it was not known what there is, nothing is taken for new.
        let now = if before.is_empty() { BTreeSet::new() } else { open_or_say() };
        let opened: BTreeSet<_> = now.difference(before).copied().collect();
        let own = opened.iter().copied().filter(|&fd| !is_inward(fd, &opened));
        self.replace(own.chain(had).collect::<BTreeSet<_>>());
    }

    /// In a forked child: closes what the parent goes on with. Whoever has the numbers never uses them again.
    pub fn leave(&mut self) {
        self.left = true;
        for (fd, identity) in std::mem::take(&mut self.found) {
            if Identity::of(fd) == Some(identity) {
                let _ = unistd::close(fd); // which tells nobody anything, as long as the parent has it
            }
        }
    }
}

/// None, and a word in the log, where they cannot be listed. What is not noted stays open in a forked child, which
/// never uses it; its peer sees no end before that child's.
fn open_or_say() -> BTreeSet<RawFd> {
    open_now().unwrap_or_else(|e| {
        log::warn!(target: SYSTEM, "a value's descriptors are not noted: /proc/self/fd: {e}");
        BTreeSet::new()
    })
}

/// Those of all values that are this process's own.
pub(crate) fn numbers() -> Vec<RawFd> {
    let values: Vec<_> = NOTED.with_borrow(|all| all.iter().filter_map(Weak::upgrade).collect());
    let ours = values.iter().map(|noted| noted.borrow()).filter(|noted| noted.is_ours());
    ours.flat_map(|noted| noted.found.iter().map(|(fd, _)| *fd).collect::<Vec<_>>()).collect()
}

/// In a forked child, before any other code: nobody has got any of the numbers yet.
pub(crate) fn leave_to_parent() {
    let all = NOTED.take();
    all.iter().filter_map(Weak::upgrade).for_each(|noted| noted.borrow_mut().leave());
}
