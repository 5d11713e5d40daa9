//! Looks what this process holds beside what is known: see [`Inventory`].
//!
//! What is known is skipped by number, so ten thousand connections cost a bit each. All other numbers are asked
//! about in batches, and only what is open and not known costs some reads of `/proc`, to which there is a bound
//! ([`INVENTORY_LOOKS`](crate::limits::INVENTORY_LOOKS)).

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    os::fd::RawFd,
};

use nix::sys::stat::makedev;

use super::{
    descriptors::{self, FIRST},
    proc_text::{self, FdInfo, Target},
};
use crate::{
    inventory::{Finding, Inventory, Meant, Place},
    limits::{INVENTORY_BYTES, INVENTORY_FINDINGS, INVENTORY_LOOKS},
};

/// What is not to be found.
pub(crate) struct Known<'a> {
    /// Of what heirloom has opened itself.
    pub numbers: Vec<RawFd>,
    /// What the program was started with.
    pub passed: &'a [RawFd],
    pub meant: &'a Meant,
    /// What is found like all others, and told to be watched.
    pub watched: Vec<Watched>,
}

/// A descriptor that a service has watched.
pub(crate) struct Watched {
    pub number: RawFd,
    /// The device and inode that were there: the number may be something else's by now.
    pub file: (u64, u64),
    pub key: u64,
}

/// Looks at all that this process holds now.
pub(crate) fn look(known: &Known<'_>) -> Inventory {
    let mut found = Inventory::default();
    let looked = look_at_descriptors(known, &mut found);
    let has_ring = found.findings.iter().any(|finding| finding.kind == "io_uring");
    let looked = looked.and_then(|()| look_at_mappings(known, has_ring, &mut found));
    look_at_timers(&mut found);
    found.unseen = found.unseen.or(looked.err().map(|e| format!("/proc: {e}")));
    found
}

/// The numbers that are open and not known.
fn look_at_descriptors(known: &Known<'_>, found: &mut Inventory) -> io::Result<()> {
    let end = descriptors::end()?;
    let mut is_known = vec![false; usize::try_from(end).unwrap_or(0)];
    for &number in &known.numbers {
        if let Some(place) = is_known.get_mut(number as usize) {
            *place = true;
        }
    }
    let standard: Vec<_> = (0..FIRST).filter_map(standard_file).collect();
    let mut looks = 0;
    for number in descriptors::open_among((FIRST..end).filter(|&at| !is_known[at as usize])) {
        let file = |stat: &libc::stat| (stat.st_dev, stat.st_ino);
        let meant = known.meant.at(number);
        if meant.is_some() && meant == descriptors::stat(number).as_ref().map(file) {
            continue;
        }
        if known.passed.contains(&number) && descriptors::is_passed(number) {
            continue;
        }
        looks += 1;
        if looks > INVENTORY_LOOKS {
            found.more += 1;
            continue;
        }
        let Some(stat) = descriptors::stat(number) else { continue };
        if standard.contains(&file(&stat)) || has_no_state(&stat) {
            continue;
        }
        let is_it = |it: &&Watched| (it.number, it.file) == (number, file(&stat));
        let watched = known.watched.iter().find(is_it);
        let finding = describe(number, &stat).map(|it| tell_watch(it, watched));
        if let Some(finding) = finding.filter(|it| !known.meant.has_name_of(it)) {
            found.push(finding, INVENTORY_FINDINGS);
        }
    }
    Ok(())
}

/// The file of a standard stream, which all generations share: a second descriptor of it adds nothing. What
/// has no type is one of those that all have the same inode.
fn standard_file(number: RawFd) -> Option<(u64, u64)> {
    let stat = descriptors::stat(number)?;
    (stat.st_mode & libc::S_IFMT != 0).then_some((stat.st_dev, stat.st_ino))
}

/// `/dev/null`, `zero`, `full`, `random` and `urandom`: nobody can tell who else reads or writes there
/// (`null(4)`, `random(4)`).
fn has_no_state(stat: &libc::stat) -> bool {
    let is_one = [3, 5, 7, 8, 9].iter().any(|minor| makedev(1, *minor) == stat.st_rdev);
    stat.st_mode & libc::S_IFMT == libc::S_IFCHR && is_one
}

/// `None`: it is a mere place in the file system (`O_PATH`). What `/proc` does not tell is left out.
fn describe(number: RawFd, stat: &libc::stat) -> Option<Finding> {
    let link = fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
    let info = read_some(&format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let info = proc_text::fdinfo(&info);
    if info.flags & libc::O_PATH != 0 {
        return None;
    }
    let is_deleted = stat.st_nlink == 0;
    let place = Place::Descriptor(number);
    let lock = Some(info.locks.join(", ")).filter(|locks| !locks.is_empty());
    Some(match proc_text::target(&link.to_string_lossy(), is_deleted) {
        Target::Socket => describe_socket(number),
        Target::Pipe => {
            let end =
                if info.flags & libc::O_ACCMODE == libc::O_RDONLY { "reading" } else { "writing" };
            Finding { detail: Some(format!("{end} end")), ..Finding::new(place, "pipe") }
        }
        Target::Memfd(path) => Finding { path: Some(path), lock, ..Finding::new(place, "memfd") },
        Target::Anonymous(kind) => {
            Finding { detail: kernel_object(&kind, &info), ..Finding::new(place, kind) }
        }
        Target::Path(path) => {
            let kind = match stat.st_mode & libc::S_IFMT {
                libc::S_IFDIR => "directory",
                libc::S_IFIFO => "fifo",
                libc::S_IFCHR | libc::S_IFBLK => "device",
                _ => "file",
            };
            let detail = Some(opened(&info, is_deleted));
            Finding { path: Some(path), lock, detail, ..Finding::new(place, kind) }
        }
    })
}

fn describe_socket(number: RawFd) -> Finding {
    let protocol = descriptors::protocol(number).unwrap_or_else(|| "socket".to_owned());
    let kind = protocol.trim_end_matches("v6").trim_end_matches("-STREAM").to_ascii_lowercase();
    let (own, peer) = descriptors::ends(number);
    let way = match &peer {
        Some(_) => "from",
        None if descriptors::listens(number) => "listens on",
        None => "bound to",
    };
    let detail = own.map(|own| format!("{way} {own}"));
    Finding { peer, detail, ..Finding::new(Place::Descriptor(number), kind) }
}

/// Adds under which key it is watched, if it is.
fn tell_watch(mut finding: Finding, watched: Option<&Watched>) -> Finding {
    if let Some(Watched { key, .. }) = watched {
        let detail = finding.detail.into_iter().chain([format!("watched as {key}")]);
        finding.detail = Some(detail.collect::<Vec<_>>().join(", "));
    }
    finding
}

/// How a file was opened.
fn opened(info: &FdInfo, is_deleted: bool) -> String {
    let mut words = vec![match info.flags & libc::O_ACCMODE {
        libc::O_RDONLY => "read",
        libc::O_WRONLY => "write",
        _ => "read, write",
    }];
    words.extend((info.flags & libc::O_APPEND != 0).then_some("append"));
    words.extend(is_deleted.then_some("deleted"));
    words.join(", ")
}

/// What an object of the kernel does, as far as it says so.
fn kernel_object(kind: &str, info: &FdInfo) -> Option<String> {
    let watches = |what: &str| {
        let plural = if info.watches == 1 { "" } else { "s" };
        format!("{} {what}{plural}", info.watches)
    };
    let seconds = |(seconds, nanos): (u64, u64)| format!("{seconds}.{:03} s", nanos / 1_000_000);
    match kind {
        "inotify" => Some(watches("watch").replace("watchs", "watches")),
        "epoll" => Some(watches("descriptor")),
        "pidfd" => info.pid.map(|pid| format!("pid {pid}")),
        "timerfd" => Some(match (info.value, info.interval) {
            (None | Some((0, 0)), _) => "not set".to_owned(),
            (Some(value), None | Some((0, 0))) => format!("in {}", seconds(value)),
            (_, Some(interval)) => format!("every {}", seconds(interval)),
        }),
        _ => None,
    }
}

/// Memory that is shared and writable. What an io_uring has mapped goes with its descriptor.
fn look_at_mappings(known: &Known<'_>, has_ring: bool, found: &mut Inventory) -> io::Result<()> {
    let maps = read_some("/proc/self/maps")?;
    if maps.len() as u64 >= INVENTORY_BYTES {
        found.unseen = Some("there are too many mappings".to_owned());
    }
    for mapping in maps.lines().filter_map(proc_text::shared_mapping) {
        let (major, minor, inode) = mapping.file;
        if known.meant.has_file((makedev(major, minor), inode)) {
            continue;
        }
        let is_ring = mapping.path.as_deref() == Some("anon_inode:[io_uring]");
        let place = Place::Mapping { start: mapping.start, end: mapping.end };
        let detail = mapping.is_deleted.then(|| "deleted".to_owned());
        let kind = if is_ring { "io_uring" } else { "mapping" };
        let finding = Finding { path: mapping.path, detail, ..Finding::new(place, kind) };
        let is_told = is_ring && has_ring;
        if !is_told && !known.meant.has_name_of(&finding) {
            found.push(finding, INVENTORY_FINDINGS);
        }
    }
    Ok(())
}

/// Timers of `timer_create(2)`. Not every kernel lists them.
fn look_at_timers(found: &mut Inventory) {
    let text = read_some("/proc/self/timers").unwrap_or_default();
    for (id, does) in proc_text::timers(&text) {
        let detail = Some(does).filter(|does| !does.is_empty());
        found.push(
            Finding { detail, ..Finding::new(Place::Timer(id), "timer") },
            INVENTORY_FINDINGS,
        );
    }
}

/// Up to a bound: what the kernel says grows with what there is.
fn read_some(path: &str) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(1024); // most say less
    let read = File::open(path)?.take(INVENTORY_BYTES).read_to_end(&mut bytes);
    match read {
        Err(e) if e.kind() != ErrorKind::Interrupted => Err(e),
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// The number that an epoll set knows as `data`: for what does not tell its own.
pub(crate) fn watched_as(epoll: RawFd, data: u64) -> Option<RawFd> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).ok()?;
    proc_text::watched_as(&text, data)
}

/// The names of this process's threads, as many as `max`, and how many there are.
pub(crate) fn threads(max: usize) -> (Vec<(u32, String)>, usize) {
    let mut named = Vec::new();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let mut count = 0;
    for id in tasks.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        count += 1;
        if named.len() < max
            && let Ok(name) = fs::read_to_string(format!("/proc/self/task/{id}/comm"))
        {
            named.push((id, proc_text::clean(name.trim_end())));
        }
    }
    (named, count)
}
