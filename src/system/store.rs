//! What a service manager keeps for a service that has ended, in whatever way: its descriptor store (`FDSTORE=1`, see
//! `sd_notify(3)`). How the descriptors are called there, and which of them are there. It sends nothing.
//!
//! A name is all that comes back with a descriptor (`LISTEN_FDNAMES`), so it says what the descriptor is:
//!
//! ```text
//! heirloom.listener.WORKER.DEVICE-INODE.NAME     the file of a path that was bound, or only a dash
//! heirloom.state.WORKER.PLACE                    a and b in turns, so that one is there while the other comes
//! ```

use std::{
    env,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::sys::stat::fstat;

use super::regular_file::FileId;

/// What the names of ours begin with. Others may keep something as well.
const OWN: &str = "heirloom.";
const LISTENER: &str = "heirloom.listener.";
const STATE: &str = "heirloom.state.";

/// The manager ignores a name that is longer (`sd_notify(3)`).
const NAME_MAX: usize = 255;

/// What a name says of its descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// A socket that the service listens on, or reads datagrams from.
    Listener {
        /// Of several workers, whose.
        worker: u32,
        /// How generations know it.
        name: String,
        /// Of a Unix socket, the file that was made when it was bound.
        file: Option<FileId>,
    },
    /// What the service has saved.
    State {
        /// Of several workers, which.
        worker: u32,
    },
}

impl Kept {
    /// What `name` stands for. `None`: it is none of ours. An error: it is, and makes no sense to this program.
    pub fn read(name: &str) -> Option<Result<Kept, &'static str>> {
        name.starts_with(OWN).then(|| {
            if let Some(rest) = name.strip_prefix(STATE) {
                let worker = rest.split('.').next().and_then(|number| number.parse().ok());
                let worker = worker.ok_or("a worker without a number")?;
                return Ok(Kept::State { worker });
            }
            let fields = name.strip_prefix(LISTENER).map(|rest| rest.splitn(3, '.'));
            let mut fields = fields.ok_or("of a kind that this program does not know")?;
            let mut next = || fields.next().ok_or("a name that is cut off");
            let (worker, file, name) = (next()?, next()?, next()?);
            let worker = worker.parse().map_err(|_| "a worker without a number")?;
            Ok(Kept::Listener { worker, name: unescape(name)?, file: read_file(file)? })
        })
    }

    /// The name of a listener; `None` where it is too long.
    pub fn listener(worker: u32, name: &str, file: Option<FileId>) -> Option<String> {
        let file = file.map_or("-".to_owned(), |it| format!("{}-{}", it.device, it.inode));
        let name = format!("{LISTENER}{worker}.{file}.{}", escape(name));
        (name.len() <= NAME_MAX).then_some(name)
    }

    /// The names of a state and of the one that takes its place, in turns; and one for a moment.
    fn states(worker: u32) -> [String; 3] {
        ['a', 'b', 'c'].map(|place| format!("{STATE}{worker}.{place}"))
    }
}

fn read_file(text: &str) -> Result<Option<FileId>, &'static str> {
    if text == "-" {
        return Ok(None);
    }
    let numbers = text.split_once('-').ok_or("a file without its numbers")?;
    let number = |text: &str| text.parse().map_err(|_| "a file without its numbers");
    Ok(Some(FileId { device: number(numbers.0)?, inode: number(numbers.1)? }))
}

/// A colon would end the name, and only ASCII may be in it.
fn escape(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b' '..=b'~' if byte != b':' && byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().map(byte).collect()
}

fn unescape(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "a name that is garbled";
    let mut bytes = Vec::new();
    let mut pieces = text.split('%');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2).ok_or(WRONG)?;
        bytes.push(u8::from_str_radix(code, 16).map_err(|_| WRONG)?);
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).map_err(|_| WRONG)
}

/// The store, as far as this process knows it.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// How many descriptors it takes; none where the manager has not said that there is one.
    room: usize,
    /// What was stored, and the number of the file that it is.
    stored: Vec<(String, u64)>,
    /// The states that it has handed back: of which worker, and a memfd.
    pub states: Vec<(u32, OwnedFd)>,
    /// What was stored before is known: this process comes of the first one by forks alone.
    knows_states: bool,
}

/// What is to be said for the store to have what it should.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changes<T> {
    pub outdated: Vec<String>,
    pub new: Vec<(String, T)>,
}

impl Store {
    /// The one that the manager has for this service (`FDSTORE`, see `systemd.exec(5)`), if it has one.
    pub fn find(is_heir: bool) -> Store {
        let room = env::var("FDSTORE").ok().and_then(|room| room.parse().ok());
        Store { room: room.unwrap_or_default(), knows_states: !is_heir, ..Store::default() }
    }

    /// Whether it is known under which name a state was stored by now.
    pub fn knows_states(&self) -> bool {
        self.knows_states
    }

    pub fn is_there(&self) -> bool {
        self.room > 0
    }

    /// How many descriptors it should have, and how many it has room for, where these are too few. A state needs one, and one more while the
    /// next takes its place.
    pub fn is_overfull(&self) -> Option<(usize, usize)> {
        let count = self.stored.len();
        (count > self.room).then_some((count, self.room))
    }

    /// The manager has handed this out of it, and has it still.
    pub fn has(&mut self, name: &str, fd: impl AsFd) {
        self.stored.push((name.to_owned(), number(fd.as_fd())));
    }

    /// It is to have these sockets, and no other.
    pub fn listeners<'fd>(
        &mut self,
        wanted: impl Iterator<Item = (String, BorrowedFd<'fd>)>,
    ) -> Changes<BorrowedFd<'fd>> {
        let wanted: Vec<_> = wanted.map(|(name, fd)| (name, number(fd), fd)).collect();
        let is_wanted = |(name, number): &(String, u64)| {
            name.starts_with(STATE) || wanted.iter().any(|it| (&it.0, it.1) == (name, *number))
        };
        let outdated = self.stored.extract_if(.., |it| !is_wanted(it)).map(|it| it.0).collect();
        let mut new = Vec::new();
        for (name, number, fd) in wanted {
            if !self.stored.iter().any(|it| (&it.0, it.1) == (&name, number)) {
                self.stored.push((name.clone(), number));
                new.push((name, fd));
            }
        }
        Changes { outdated, new }
    }

    /// It is to have this state of a worker in place of any other. What is outdated is to be removed when the new one is there.
    pub fn state<'fd>(&mut self, worker: u32, fd: BorrowedFd<'fd>) -> Changes<BorrowedFd<'fd>> {
        let [a, b, _] = Kept::states(worker);
        let is_a = !self.stored.iter().any(|(stored, _)| *stored == a);
        let (name, other) = if is_a { (a, b) } else { (b, a) };
        self.stored.retain(|(stored, _)| *stored != name && *stored != other);
        self.stored.push((name.clone(), number(fd)));
        Changes { outdated: vec![other], new: vec![(name, fd)] }
    }

    /// The same where only a process that is no more knew under which name the one before is. So a copy is there under the third name
    /// while the others are removed: that name, what is outdated, and the name of the state itself.
    pub fn first_state(
        &mut self,
        worker: u32,
        fd: BorrowedFd<'_>,
    ) -> (String, [String; 2], String) {
        let [a, b, c] = Kept::states(worker);
        self.stored.push((a.clone(), number(fd)));
        self.knows_states = true;
        (c, [a.clone(), b], a)
    }

    /// It is to have nothing any more, nor what only a process that is no more has stored.
    pub fn clear(&mut self) -> Vec<String> {
        let mut names: Vec<_> = self.stored.drain(..).map(|(name, _)| name).collect();
        if self.is_there() && !self.knows_states {
            names.extend(Kept::states(0));
        }
        names
    }

    /// It is to have no state of this worker any more, by whichever process one was stored.
    pub fn clear_state(&mut self, worker: u32) -> [String; 3] {
        let names = Kept::states(worker);
        self.stored.retain(|(stored, _)| !names.contains(stored));
        names
    }
}

/// The number of the file that a descriptor leads to: one socket is not another, whatever both are called.
fn number(fd: BorrowedFd<'_>) -> u64 {
    fstat(fd).map_or(0, |file| file.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::UnixDatagram;

    proptest! {
        #[test]
        fn a_name_comes_back_as_it_was(worker: u32, name in ".{0,60}", file: Option<(u64, u64)>) {
            let file = file.map(|(device, inode)| FileId { device, inode });
            let Some(text) = Kept::listener(worker, &name, file) else { return Ok(()) };
            prop_assert!(text.len() <= NAME_MAX && text.bytes().all(|it| matches!(it, b' '..=b'~')));
            prop_assert!(!text.contains(':'));
            prop_assert_eq!(Kept::read(&text), Some(Ok(Kept::Listener { worker, name, file })));
        }
    }

    #[test]
    fn what_is_not_ours_and_what_is_not_understood_are_two_things() {
        assert_eq!(Kept::read("web"), None);
        assert_eq!(Kept::read("stored"), None);
        assert_eq!(Kept::read("heirloom.state.3.a"), Some(Ok(Kept::State { worker: 3 })));
        for wrong in [
            "heirloom.",
            "heirloom.later.1",
            "heirloom.state.a",
            "heirloom.listener.",
            "heirloom.listener.x.-.name",
            "heirloom.listener.0.7.name",
            "heirloom.listener.0.-.%0",
            "heirloom.listener.0.-.%zz",
            "heirloom.listener.0.-.%ff",
        ] {
            assert!(matches!(Kept::read(wrong), Some(Err(_))), "{wrong}");
        }
        assert_eq!(Kept::listener(0, &"x".repeat(250), None), None);
    }

    #[test]
    fn only_what_is_new_is_stored_and_only_what_is_outdated_is_removed() {
        let [a, b, c] = [(); 3].map(|()| UnixDatagram::unbound().unwrap());
        let mut store = Store::default();
        let mut listeners = |wanted: &[(&str, &UnixDatagram)]| {
            let wanted = wanted.iter().map(|(name, fd)| ((*name).to_owned(), fd.as_fd()));
            let changes = store.listeners(wanted);
            let new = changes.new.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
            (changes.outdated, new)
        };
        let none = Vec::<String>::new();
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(listeners(&[("a", &a), ("b", &b)]), (none.clone(), names(&["a", "b"])));
        assert_eq!(listeners(&[("a", &a), ("b", &b)]), (none.clone(), none.clone()));
        // Another socket of the same name.
        assert_eq!(listeners(&[("a", &c), ("b", &b)]), (names(&["a"]), names(&["a"])));
        assert_eq!(listeners(&[]), (names(&["b", "a"]), none));
    }

    #[test]
    fn a_state_is_there_before_the_other_one_goes() {
        let memory = UnixDatagram::unbound().unwrap();
        let mut store = Store::default();
        let names = [(); 3].map(|()| {
            let changes = store.state(0, memory.as_fd());
            (changes.new[0].0.clone(), changes.outdated[0].clone())
        });
        assert_ne!(names[0].0, names[1].0);
        assert!(names.iter().all(|(new, old)| new != old));
        assert_eq!((&names[0].0, &names[0].1), (&names[1].1, &names[1].0));
        assert_eq!(names[0], names[2]);
        // Whoever begins with one that is there uses the other name.
        let mut next = Store::default();
        next.has(&names[0].0, memory.as_fd());
        assert_eq!(next.state(0, memory.as_fd()).outdated[0], names[0].0);
        assert!(store.listeners(std::iter::empty()).outdated.is_empty());
        store.has("heirloom.listener.0.-.x", memory.as_fd());
        (store.room, store.knows_states) = (1, true);
        assert_eq!(store.clear().len(), 2);
        store.knows_states = false; // of a new program
        assert_eq!(
            store.clear(),
            ["heirloom.state.0.a", "heirloom.state.0.b", "heirloom.state.0.c"]
        );
    }
}
