//! What a process holds that heirloom does not know, as plain values: for the log, for a verdict, and for an
//! operator. Who looks is `system::look`.

use std::{collections::BTreeMap, fmt, path::Path};

/// What a process holds that heirloom has not made, at one moment: a fork would share it with the child.
///
/// A descriptor is copied by `fork(2)`, and both copies lead to one open file description: one offset, one
/// lock, one stream of bytes. So the answer to one process may be read by the other. What heirloom itself has
/// opened, standard input, output and error, what the program was started with, and what its author
/// [means to be shared](crate::Server::shares) is left out.
///
/// ```
/// use heirloom::Verdict;
///
/// /// What an author may want to close before a fork.
/// fn sockets(verdict: &Verdict) -> Vec<String> {
///     let findings = verdict.inventory.iter().flat_map(|inventory| &inventory.findings);
///     findings.filter(|it| it.peer.is_some()).map(ToString::to_string).collect()
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inventory {
    /// What was found, descriptors first; at most
    /// [`INVENTORY_FINDINGS`](crate::limits::INVENTORY_FINDINGS).
    pub findings: Vec<Finding>,
    /// How many there are beyond these.
    pub more: usize,
    /// What could not be looked at, and why.
    pub unseen: Option<String>,
}

/// One thing that a fork would share, or that the child would not have.
///
/// ```
/// use heirloom::{Finding, Place};
///
/// fn is_database(finding: &Finding) -> bool {
///     matches!(finding.place, Place::Descriptor(_)) && finding.peer.as_deref() == Some("10.0.0.5:5432")
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where it is.
    pub place: Place,
    /// What it is, as the kernel calls it: `tcp`, `udp`, `unix` and other protocols, `socket` where the
    /// protocol is not told; `file`, `directory`, `device`, `fifo`, `pipe`, `memfd`, `eventfd`, `timerfd`,
    /// `signalfd`, `inotify`, `epoll`, `io_uring`, `pidfd` and others; `mapping`; `timer`.
    pub kind: String,
    /// Who is at the other end of a socket: `ip:port`, the path of a Unix socket, `@name`, or `pid N`.
    pub peer: Option<String>,
    /// The path of a file, as the kernel has it; `/memfd:name` of a memfd.
    pub path: Option<String>,
    /// The locks that are held by it: `flock write`, `fcntl read 0-99`, `ofd write`.
    pub lock: Option<String>,
    /// What else there is to say: how it was opened, whether it was deleted, what it watches; and `watched as
    /// N` of one that [`Net::watch`](crate::Net::watch) was told of.
    pub detail: Option<String>,
}

/// Where a [`Finding`] is.
///
/// ```
/// assert_eq!(heirloom::Place::Descriptor(7).to_string(), "descriptor 7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A descriptor: both processes would have it.
    Descriptor(i32),
    /// Memory that is shared and writable: what one process writes, the other reads.
    Mapping {
        /// The first byte.
        start: u64,
        /// The first byte behind it.
        end: u64,
    },
    /// A timer of `timer_create(2)`: the child would not have it.
    Timer(u32),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Descriptor(number) => write!(f, "descriptor {number}"),
            Place::Mapping { start, end } => write!(f, "memory {start:x}-{end:x}"),
            Place::Timer(id) => write!(f, "timer {id}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.kind)?;
        self.peer.iter().try_for_each(|peer| write!(f, " to {peer}"))?;
        self.path.iter().try_for_each(|path| write!(f, " {path}"))?;
        match (&self.detail, &self.lock) {
            (Some(detail), Some(lock)) => write!(f, " ({detail}; {lock})"),
            (Some(only), None) | (None, Some(only)) => write!(f, " ({only})"),
            (None, None) => Ok(()),
        }
    }
}

impl Finding {
    pub(crate) fn new(place: Place, kind: impl Into<String>) -> Finding {
        let kind = kind.into();
        Finding { place, kind, peer: None, path: None, lock: None, detail: None }
    }

    /// As one word of the control socket's language: `place;kind;peer;path;lock;detail`. A dash for what is
    /// not known, and `%` with two digits for each byte that could be taken for the language's own.
    pub(crate) fn to_word(&self) -> String {
        let place = match self.place {
            Place::Descriptor(number) => format!("fd:{number}"),
            Place::Mapping { start, end } => format!("map:{start:x}-{end:x}"),
            Place::Timer(id) => format!("timer:{id}"),
        };
        let others = [&self.peer, &self.path, &self.lock, &self.detail];
        let others = others.map(|value| value.as_deref().map_or_else(|| "-".to_owned(), word));
        format!("{place};{};{}", word(&self.kind), others.join(";"))
    }
}

/// A text as one word; a dash alone would mean that there is none.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:@[]+".contains(&byte);
    text.bytes().fold(String::new(), |mut all, byte| {
        if is_plain(byte) || (byte == b'-' && text.len() > 1) {
            all.push(byte.into());
        } else {
            all.push_str(&format!("%{byte:02X}"));
        }
        all
    })
}

impl Inventory {
    /// How many things there are.
    ///
    /// ```
    /// # use heirloom::Inventory;
    /// assert_eq!(Inventory::default().count(), 0);
    /// ```
    pub fn count(&self) -> usize {
        self.findings.len() + self.more
    }

    /// Nothing was found, and everything was looked at.
    ///
    /// ```
    /// # use heirloom::Inventory;
    /// assert!(Inventory::default().is_clear());
    /// ```
    pub fn is_clear(&self) -> bool {
        self.count() == 0 && self.unseen.is_none()
    }

    /// The findings as words, as many as fit into `max` bytes.
    pub(crate) fn words(&self, max: usize) -> Vec<String> {
        let mut left = max;
        let fits = |word: &String| {
            let rest = left.checked_sub(word.len());
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        self.findings.iter().map(Finding::to_word).take_while(fits).collect()
    }

    /// Takes one more, or counts it where there are enough.
    pub(crate) fn push(&mut self, finding: Finding, max: usize) {
        if self.findings.len() < max {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// `3 things that heirloom does not know: descriptor 7: tcp to 10.0.0.5:5432, ...`
impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, plural) = (self.count(), if self.count() == 1 { "" } else { "s" });
        write!(f, "{count} thing{plural} that heirloom does not know")?;
        for (index, finding) in self.findings.iter().enumerate() {
            write!(f, "{} {finding}", if index == 0 { ":" } else { "," })?;
        }
        if self.more > 0 {
            write!(f, ", and {} more", self.more)?;
        }
        self.unseen.iter().try_for_each(|why| write!(f, "; not everything was seen: {why}"))
    }
}

/// What an author means to be shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meant {
    /// By number, each with its device and inode: the number may be something else's by now.
    descriptors: BTreeMap<i32, (u64, u64)>,
    names: Vec<String>,
}

impl Meant {
    pub fn add_descriptor(&mut self, number: i32, file: (u64, u64)) {
        self.descriptors.insert(number, file);
    }

    pub fn add_name(&mut self, name: String) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    /// What was said to be at `number`.
    pub fn at(&self, number: i32) -> Option<(u64, u64)> {
        self.descriptors.get(&number).copied()
    }

    /// Whether this file is behind one of the descriptors.
    pub fn has_file(&self, file: (u64, u64)) -> bool {
        self.descriptors.values().any(|meant| *meant == file)
    }

    /// Whether its path is one of the names or below it, or its peer is.
    pub fn has_name_of(&self, finding: &Finding) -> bool {
        let is_below = |text: &String, name: &String| Path::new(text).starts_with(name);
        let texts = || finding.path.iter().chain(&finding.peer);
        self.names.iter().any(|name| texts().any(|text| text == name || is_below(text, name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Finding {
        Finding { path: Some(path.to_owned()), ..Finding::new(Place::Descriptor(3), "file") }
    }

    #[test]
    fn a_finding_is_a_clause_and_a_word() {
        let mut finding = file("/var/a b,c");
        assert_eq!(finding.to_string(), "descriptor 3: file /var/a b,c");
        finding.detail = Some("write, append".to_owned());
        finding.lock = Some("flock write".to_owned());
        assert_eq!(
            finding.to_string(),
            "descriptor 3: file /var/a b,c (write, append; flock write)"
        );
        assert_eq!(finding.to_word(), "fd:3;file;-;/var/a%20b%2Cc;flock%20write;write%2C%20append");
        let peer = Finding {
            peer: Some("-".to_owned()),
            ..Finding::new(Place::Mapping { start: 16, end: 255 }, "x")
        };
        assert_eq!(peer.to_word(), "map:10-ff;x;%2D;-;-;-");
    }

    #[test]
    fn what_is_meant_is_a_path_and_what_is_below_or_a_peer() {
        let mut meant = Meant::default();
        meant.add_name("/var/log/app".to_owned());
        meant.add_name("127.0.0.1:8125".to_owned());
        assert!(meant.has_name_of(&file("/var/log/app")));
        assert!(meant.has_name_of(&file("/var/log/app/today")));
        assert!(!meant.has_name_of(&file("/var/log/apple")));
        let socket = |peer: &str| Finding {
            peer: Some(peer.to_owned()),
            ..Finding::new(Place::Descriptor(4), "udp")
        };
        assert!(meant.has_name_of(&socket("127.0.0.1:8125")));
        assert!(!meant.has_name_of(&socket("127.0.0.1:81251")));
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let mut inventory = Inventory::default();
        (0..5).for_each(|_| inventory.push(file("/x"), 3));
        assert_eq!((inventory.findings.len(), inventory.more, inventory.count()), (3, 2, 5));
        assert!(inventory.to_string().ends_with(", and 2 more"));
        let word = file("/x").to_word();
        assert_eq!(inventory.words(2 * word.len()), [word.clone(), word]);
    }
}
