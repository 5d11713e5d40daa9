//! A logger for a program whose stderr is the journal of systemd: each record as its fields, and none of them waited for.

use std::{
    env, fmt,
    io::{self, IoSlice, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Mutex,
};

use log::{
    Level, Log, Metadata, Record,
    kv::{Error, Key, Value, VisitSource},
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        socket::{
            AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
        },
        stat::fstat,
    },
};

use super::stderr::Stderr;

/// Where journald listens for records with fields (`systemd-journald.service(8)`).
const SOCKET: &str = "/run/systemd/journal/socket";

/// What journald understands as the name of a field is no longer.
const NAME_MAX: usize = 64;

/// A logger that tells the journal of systemd what a record is made of, where stderr leads there.
///
/// A service of systemd has a stderr that is a stream to the journal (`JOURNAL_STREAM`, see `systemd.exec(5)`). What is
/// written there is a line of text, at one level. This logger sends each record by the journal's
/// [native protocol](https://systemd.io/JOURNAL_NATIVE_PROTOCOL/) instead: `MESSAGE`, `PRIORITY`, `TARGET`, `CODE_FILE` and `CODE_LINE`,
/// and the key-values of the record, each as a field of that name in capital letters (`OUTCOME=committed`). So
/// `journalctl EVENT=restart` finds what is asked for. heirloom's own lines about a generation have `event` (`ready`, `restart`,
/// `committed`, `drained`) and `generation`; of a restart also `engine`, `outcome` and `took_ms`.
///
/// It waits for nobody, as [`Stderr`](super::Stderr) does not: what the journal does not take at once is written to stderr as a
/// line, and so is everything while stderr leads somewhere else, such as that of a new program up to its commit,
/// which goes through the old one. It keeps no descriptor open, so there is none for a fork to share.
///
/// ```no_run
/// use heirloom::logging::Journal;
///
/// let logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).build();
/// log::set_max_level(logger.filter());
/// match Journal::find() {
///     Some(journal) => log::set_boxed_logger(Box::new(journal.filtered(move |record| logger.matches(record)))),
///     None => log::set_boxed_logger(Box::new(logger)),
/// }
/// .expect("there is no other logger");
/// ```
pub struct Journal<F = fn(&Record<'_>) -> bool> {
    /// The device and the inode of the stream.
    stream: (u64, u64),
    socket: PathBuf,
    /// Which records are said.
    wanted: F,
    stderr: Mutex<Stderr>,
}

impl Journal {
    /// For a program that was started with a stream to the journal as its stdout or stderr; `None` for one that was not.
    pub fn find() -> Option<Journal> {
        Journal::at(SOCKET)
    }

    /// The same, for a journal that listens elsewhere.
    pub fn at(socket: impl Into<PathBuf>) -> Option<Journal> {
        let stream = env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = stream.split_once(':')?;
        Some(Journal {
            stream: (device.parse().ok()?, inode.parse().ok()?),
            socket: socket.into(),
            wanted: |_| true,
            stderr: Mutex::default(),
        })
    }

    /// Says no more than those records for which `wanted` answers `true`, of the levels that
    /// [`log::set_max_level`] lets through.
    #[must_use]
    pub fn filtered<F: Fn(&Record<'_>) -> bool + Send + Sync>(self, wanted: F) -> Journal<F> {
        let Journal { stream, socket, stderr, .. } = self;
        Journal { stream, socket, wanted, stderr }
    }
}

impl<F> Journal<F> {
    /// Whether stderr is the stream at the moment.
    fn leads_there(&self) -> bool {
        fstat(io::stderr()).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.stream)
    }
}

impl<F: Fn(&Record<'_>) -> bool + Send + Sync> Log for Journal<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !(self.wanted)(record) {
            return;
        }
        if self.leads_there() && send(&self.socket, &fields(record)).is_ok() {
            return;
        }
        // As other loggers have it; `<6>` is the level to whoever reads the stream (`sd-daemon(3)`).
        let priority = priority(record.level());
        let line = match self.leads_there() {
            true => format!("<{priority}>{}\n", record.args()),
            false => format!("[{}] {}: {}\n", std::process::id(), record.level(), record.args()),
        };
        if let Ok(mut stderr) = self.stderr.lock() {
            let _ = stderr.write(line.as_bytes()); // which never fails
        }
    }

    fn flush(&self) {
        if let Ok(mut stderr) = self.stderr.lock() {
            let _ = stderr.flush();
        }
    }
}

impl<F> fmt::Debug for Journal<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// As `syslog(3)` has it.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The record as the protocol has it.
fn fields(record: &Record<'_>) -> Vec<u8> {
    let mut out = Fields(Vec::with_capacity(256));
    out.put("MESSAGE", &record.args().to_string());
    out.put("PRIORITY", &priority(record.level()).to_string());
    out.put("TARGET", record.target());
    record.file().iter().for_each(|file| out.put("CODE_FILE", file));
    record.line().iter().for_each(|line| out.put("CODE_LINE", &line.to_string()));
    let _ = record.key_values().visit(&mut out); // it never fails
    out.0
}

struct Fields(Vec<u8>);

impl Fields {
    /// A value with a line end has its length before it, as eight bytes.
    fn put(&mut self, name: &str, value: &str) {
        self.0.extend(name.as_bytes());
        if value.contains('\n') {
            self.0.push(b'\n');
            self.0.extend((value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend(value.as_bytes());
        self.0.push(b'\n');
    }
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if let Some(name) = name(key.as_str()) {
            self.put(&name, &value.to_string());
        }
        Ok(())
    }
}

/// A key as the name of a field: capital letters, digits and underscores, of which the first is a letter. Those that begin with an underscore are the
/// journal's own.
fn name(key: &str) -> Option<String> {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = key.trim_start_matches('_').chars().map(letter).take(NAME_MAX).collect();
    name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
}

/// A datagram, from a socket that is there for it alone; in a memfd where it is too long for one.
fn send(path: &Path, bytes: &[u8]) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let to = UnixAddr::new(path.as_os_str().as_bytes())?;
    let send = |bytes: &[u8], fds: &[ControlMessage<'_>]| {
        let quiet = MsgFlags::MSG_NOSIGNAL;
        sendmsg(socket.as_raw_fd(), &[IoSlice::new(bytes)], fds, quiet, Some(&to)).map(drop)
    };
    match send(bytes, &[]) {
        Err(Errno::EMSGSIZE | Errno::ENOBUFS) => {
            // journald takes none that somebody could still change.
            let sealable = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
            let mut file = std::fs::File::from(memfd_create(c"heirloom-log", sealable)?);
            let failed = |e: io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
            file.write_all(bytes).map_err(failed)?;
            fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
            send(&[], &[ControlMessage::ScmRights(&[file.as_fd().as_raw_fd()])])
        }
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use std::{io::IoSliceMut, os::unix::net::UnixDatagram};

    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    #[test]
    fn a_record_is_fields() {
        let values =
            [("event", "restart"), ("took ms", "12"), ("_pid", "7"), ("9", "no"), ("why", "a\nb")];
        let record = Record::builder()
            .args(format_args!("restart: done"))
            .level(Level::Warn)
            .target("heirloom::restart")
            .line(Some(7))
            .key_values(&values)
            .build();
        let expected = b"MESSAGE=restart: done\nPRIORITY=4\nTARGET=heirloom::restart\nCODE_LINE=7\nEVENT=restart\n\
              TOOK_MS=12\nPID=7\nWHY\n\x03\0\0\0\0\0\0\0a\nb\n";
        assert_eq!(String::from_utf8_lossy(&fields(&record)), String::from_utf8_lossy(expected));
    }

    #[test]
    fn what_is_too_long_for_a_datagram_comes_in_a_file_that_nobody_can_change() {
        let path = env::temp_dir().join(format!("heirloom-journal-{}", std::process::id()));
        let listener = UnixDatagram::bind(&path).unwrap();
        let long = vec![b'x'; 1 << 20];
        let sent = send(&path, &long);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(sent, Ok(()));
        let (mut control, mut none) = (nix::cmsg_space!(i32), [0; 1]);
        let mut into = [IoSliceMut::new(&mut none)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received =
            recvmsg::<()>(listener.as_raw_fd(), &mut into, Some(&mut control), flags).unwrap();
        let Some(ControlMessageOwned::ScmRights(fds)) = received.cmsgs().unwrap().next() else {
            panic!("no descriptor came");
        };
        let came = std::fs::File::open(format!("/proc/self/fd/{}", fds[0])).unwrap();
        assert_eq!(std::fs::read(format!("/proc/self/fd/{}", fds[0])).unwrap(), long);
        let seals = SealFlag::from_bits_truncate(fcntl(&came, FcntlArg::F_GET_SEALS).unwrap());
        assert!(seals.contains(SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK), "{seals:?}");
        nix::unistd::close(fds[0]).unwrap();
    }
}
