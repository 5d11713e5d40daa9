//! What is written is read; what is cut or wrong is refused, and takes no more memory than it has; and a store
//! that is kept up to date by changes is the one that they come from.

use std::{cell::Cell, collections::BTreeMap, sync::OnceLock};

use heirloom::Result;
use proptest::{collection, option, prelude::*};

use super::super::{
    out::Version,
    pubsub::Subscriptions,
    request::{self, Request},
    session::{Replies, Transaction},
    store::Expiry,
};
use super::*;

type Keys = BTreeMap<Vec<u8>, (Vec<u8>, Option<Duration>)>;

/// The time of day is the same for all processes of a machine.
fn wall() -> Wall {
    static WALL: OnceLock<Wall> = OnceLock::new();
    *WALL.get_or_init(Wall::now)
}

/// Now, at the beginning of a millisecond: keys expire at none but these.
fn start() -> Instant {
    wall().moment(wall().millis(Instant::now())).unwrap()
}

fn new_state(now: Instant) -> State {
    let since = now - Duration::from_secs(7);
    State { clients: 5, commands: 6, since, wall: wall(), ..State::new() }
}

/// Whole milliseconds, so that the times that are left are exact.
fn state_of(keys: &Keys, now: Instant) -> State {
    let mut state = new_state(now);
    for (key, (value, left)) in keys {
        let expiry = left.map_or(Expiry::Never, |left| Expiry::At(now + left));
        state.store.set(key, value, expiry, now);
    }
    state
}

fn keys_of(state: &State, now: Instant) -> Keys {
    let live = state.store.items().filter(|item| item.due.is_none_or(|due| now < due));
    let left = |due: Instant| due - now;
    live.map(|item| (item.key.to_vec(), (item.value.clone(), item.due.map(left)))).collect()
}

fn saved(state: &State, now: Instant) -> Vec<u8> {
    let mut out = Vec::new();
    save(state, &mut out, now).expect("a vector takes it");
    out
}

fn loaded(bytes: &[u8], now: Instant) -> Result<State> {
    let (mut state, mut rest) = (new_state(now), bytes);
    load(&mut state, &mut rest, now)?;
    if rest.is_empty() { Ok(state) } else { Err("more than a state".into()) }
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    collection::vec(any::<u8>(), 0..30)
}

fn any_keys() -> impl Strategy<Value = Keys> {
    let left = option::of((1u64..1 << 40).prop_map(Duration::from_millis));
    collection::btree_map(any_bytes(), (any_bytes(), left), 0..50)
}

fn any_session() -> impl Strategy<Value = Session> {
    let names = || collection::btree_set(any_bytes(), 0..5);
    let commands = collection::vec(collection::vec("[a-z]{1,9}", 1..5), 0..4);
    let watched = collection::btree_map(any_bytes(), any::<bool>(), 0..5);
    let plain = (any::<u64>(), any_bytes(), any_bytes(), any::<bool>(), any::<i64>());
    (plain, names(), names(), option::of(commands), watched).prop_map(
        |((number, name, library, is_new, since), channels, patterns, commands, watched)| Session {
            number,
            name: name.clone(),
            library: [library, name],
            version: if is_new { Version::Three } else { Version::Two },
            replies: if is_new { Replies::SkipNext } else { Replies::Off },
            subscriptions: Subscriptions { channels, patterns },
            is_monitor: is_new,
            transaction: commands.map(|commands| queued(&commands)),
            watched,
            since,
            active: since,
            ..Session::default()
        },
    )
}

fn queued(commands: &[Vec<String>]) -> Transaction {
    let (mut transaction, mut reader) = (Transaction::default(), request::Reader::default());
    for words in commands {
        let line = format!("{}\r\n", words.join(" "));
        let Ok(Request::Whole(args, _)) = reader.read(line.as_bytes()) else { panic!("{line}") };
        assert!(transaction.push(args));
    }
    transaction
}

proptest! {
    #[test]
    fn all_keys_are_there_again(
        keys in any_keys(), cuts in collection::vec(any::<prop::sample::Index>(), 20),
    ) {
        let now = start();
        let old = state_of(&keys, now);
        let written = saved(&old, now);
        let new = loaded(&written, now).unwrap();
        prop_assert_eq!(keys_of(&new, now), keys);
        prop_assert_eq!((new.clients, new.commands), (5, 6));
        prop_assert_eq!(now - new.since, Duration::from_secs(7));
        prop_assert_eq!(new.store.next_due(), old.store.next_due());
        for cut in cuts.iter().map(|cut| cut.index(written.len())) {
            prop_assert!(loaded(&written[..cut], now).is_err());
        }
    }

    /// The next program has the same order of keys, so a scan goes on there, by the cursor that it has.
    #[test]
    fn a_scan_goes_on_in_the_next_program(keys in any_keys(), count in 1usize..20) {
        let now = start();
        let old = state_of(&keys, now);
        let new = loaded(&saved(&old, now), now).unwrap();
        let (first, cursor) = old.store.scan(0, count, now);
        prop_assume!(cursor != 0);
        let (rest, end) = new.store.scan(cursor, usize::MAX, now);
        prop_assert_eq!(end, 0);
        let mut seen = [first, rest].concat();
        seen.sort();
        prop_assert!(seen.into_iter().eq(keys.keys().map(|key| key.as_slice())));
    }

    #[test]
    fn a_session_is_as_it_was(session in any_session(), is_spoiled: bool) {
        let written = save_session(&session, is_spoiled).unwrap();
        prop_assert_eq!(load_session(&written).unwrap(), (session, is_spoiled));
        for cut in 0..written.len() {
            prop_assert!(load_session(&written[..cut]).is_err());
        }
        prop_assert!(load_session(&[&written[..], b"x"].concat()).is_err());
    }

    #[test]
    fn wrong_bytes_do_no_harm(keys in any_keys(), flips in collection::vec((any::<usize>(), 1u8..), 1..4)) {
        let now = start();
        let mut state = state_of(&keys, now);
        state.store.touched.track(true);
        keys.keys().for_each(|key| drop(state.store.remove(key, now)));
        let mut wrong = saved(&state_of(&keys, now), now);
        for &(at, bits) in &flips {
            let at = at % wrong.len();
            wrong[at] ^= bits;
        }
        let _ = loaded(&wrong, now);
        let _ = load_changes(&mut state, &mut wrong.as_slice(), now);
        let _ = load_session(&wrong);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in collection::vec(any::<u8>(), 0..200), framed: bool) {
        let now = start();
        let mut bytes = [&[VERSION as u8][..], &bytes].concat();
        let _ = load_session(&bytes);
        if framed {
            bytes = [&(bytes.len() as u32).to_le_bytes()[..], &bytes, &[0; 4]].concat();
        }
        let _ = loaded(&bytes, now);
        let _ = load_changes(&mut new_state(now), &mut bytes.as_slice(), now);
    }
}

#[test]
fn another_version_is_named() {
    let now = start();
    let mut written = saved(&new_state(now), now);
    written[4] = 9; // behind the length of the frame
    let why = loaded(&written, now).err().unwrap().to_string();
    assert!(why.contains("written in format 9, this program reads 3"), "{why}");
}

/// It says that gigabytes follow, and they do not.
#[test]
fn a_length_that_is_not_true_takes_no_memory() {
    let now = start();
    let mut cut = &b"\xff\xff\xff\xffand nothing else"[..];
    let mut reader = Reader::new(&mut cut);
    assert!(reader.next::<u16>().is_err());
    assert!(reader.room() < 1024 * 1024, "{}", reader.room());
    let mut written =
        saved(&state_of(&Keys::from([(b"k".to_vec(), (vec![7; 1000], None))]), now), now);
    let at = written.windows(3).position(|bytes| bytes == [1, b'k', 0xe8]).expect("the key") + 2;
    written[at..at + 2].copy_from_slice(&[0xff, 0x7f]); // a value of 16,383 bytes, in a frame of a thousand
    assert!(loaded(&written, now).is_err());
}

#[test]
fn keys_out_of_place_are_refused() {
    let now = start();
    let old = state_of(&(0..20u8).map(|key| (vec![key], (vec![], None))).collect(), now);
    let keys: Vec<_> = old.store.keys(now).map(<[u8]>::to_vec).collect();
    let write = |keys: &[&[u8]]| {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out);
        writer.put(&VERSION).unwrap();
        let counters = Counters::of(&old);
        writer.put(&Head { seed: old.store.seed(), age: Duration::ZERO, counters }).unwrap();
        for &key in keys {
            writer.put(&Entry { key, value: b"", due: None }).unwrap();
        }
        writer.end().unwrap();
        loaded(&out, now).map(|state| state.store.len()).map_err(|why| why.to_string())
    };
    assert_eq!(write(&[&keys[0], &keys[1], &keys[19]]), Ok(3));
    for wrong in [[0, 2, 1], [1, 0, 2], [19, 0, 1], [0, 1, 1]] {
        let why = write(&wrong.map(|index: usize| keys[index].as_slice())).unwrap_err();
        assert!(why.contains("a key that"), "{why}");
    }
}

/// Time runs on while a key is on its way.
#[test]
fn what_expires_on_the_way_is_gone() {
    let now = start();
    let keys = Keys::from([(b"k".to_vec(), (b"v".to_vec(), Some(Duration::from_millis(10))))]);
    let then = now + Duration::from_millis(10);
    let new = loaded(&saved(&state_of(&keys, now), now), then).unwrap();
    assert!(new.store.get(b"k", then).is_none());
    assert_eq!(new.store.next_due(), Some(then));
}

#[test]
fn a_transaction_of_what_are_no_commands_is_refused() {
    let commands = [vec!["get".to_owned(), "k".to_owned()]];
    let transaction = Some(queued(&commands));
    let mut written = save_session(&Session { transaction, ..Session::default() }, false).unwrap();
    let at = written.windows(3).position(|bytes| bytes == b"get").expect("the command");
    written[at - 3] = b'4'; // it announces a byte more than there is
    let why = load_session(&written).err().unwrap().to_string();
    assert!(why.contains("a transaction of what are no commands"), "{why}");
}

#[test]
fn what_has_expired_is_left_out() {
    let now = start();
    let keys = Keys::from([(b"k".to_vec(), (b"v".to_vec(), Some(Duration::from_millis(10))))]);
    let then = now + Duration::from_millis(10);
    let mut state = state_of(&keys, now);
    assert_eq!(loaded(&saved(&state, then), then).unwrap().store.len(), 0);
    let mut copy = loaded(&saved(&state, now), now).unwrap();
    state.store.touched.track(true);
    state.store.expire(b"k", Some(then), now);
    let mut piece = Vec::new();
    assert_eq!(save_changes(&mut state, &mut piece, 9, then).unwrap(), 0);
    load_changes(&mut copy, &mut piece.as_slice(), then).unwrap();
    assert_eq!(copy.store.len(), 0);
}

/// Nothing is noted as long as nobody asks, and each time anew.
#[test]
fn tracking_begins_with_nothing() {
    let now = start();
    let mut state = new_state(now);
    let set = |state: &mut State, key: &[u8]| state.store.set(key, b"v", Expiry::Never, now);
    set(&mut state, b"before");
    assert_eq!(state.store.touched.len(), 0);
    for on in [true, true, false] {
        state.store.touched.track(on);
        set(&mut state, b"one");
        set(&mut state, b"one");
        set(&mut state, b"two");
        assert!(state.store.get(b"before", now).is_some());
        let noted = std::iter::from_fn(|| state.store.touched.next()).count();
        assert_eq!(noted, if on { 2 } else { 0 });
    }
}

/// What a client can do to keys.
#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, Option<u8>),
    Append(u8),
    Remove(u8),
    Rename(u8, u8),
    Expire(u8, Option<u8>),
    Purge,
    Clear,
    Wait(u8),
    /// Not of a client: so many changes travel.
    Piece(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u8..20;
    let time = || option::of(0u8..20);
    prop_oneof![
        6 => (key(), any::<u8>(), time()).prop_map(|(key, value, left)| Step::Set(key, value, left)),
        2 => key().prop_map(Step::Append),
        3 => key().prop_map(Step::Remove),
        2 => (key(), key()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => (key(), time()).prop_map(|(key, left)| Step::Expire(key, left)),
        1 => Just(Step::Purge),
        1 => Just(Step::Clear),
        2 => (0u8..9).prop_map(Step::Wait),
        2 => (0usize..8).prop_map(Step::Piece),
    ]
}

/// An old process and its copy. The clock is the same for both.
struct Two {
    old: State,
    new: State,
    now: Cell<Instant>,
}

impl Two {
    fn take(&mut self, step: &Step) {
        let (now, millis) = (self.now.get(), |millis: u8| Duration::from_millis(millis.into()));
        let store = &mut self.old.store;
        self.old.commands += 1;
        match *step {
            Step::Set(key, value, left) => {
                let expiry = left.map_or(Expiry::Never, |left| Expiry::At(now + millis(left)));
                store.set(&[key], &[value], expiry, now);
            }
            Step::Append(key) => drop(store.append(&[key], b"+", now)),
            Step::Remove(key) => drop(store.remove(&[key], now)),
            Step::Rename(from, to) => drop(store.rename(&[from], &[to], now)),
            Step::Expire(key, left) => {
                store.expire(&[key], left.map(|left| now + millis(left)), now);
            }
            Step::Purge => store.purge(3, now),
            Step::Clear => store.clear(now),
            Step::Wait(time) => self.now.set(now + millis(time)),
            Step::Piece(most) => drop(self.piece(most)),
        }
    }

    fn piece(&mut self, most: usize) -> usize {
        let (now, mut piece) = (self.now.get(), Vec::new());
        let left = save_changes(&mut self.old, &mut piece, most, now).unwrap();
        assert_eq!(piece.is_empty(), most == 0, "it is only asked how many there are");
        if most > 0 {
            load_changes(&mut self.new, &mut piece.as_slice(), now).unwrap();
        }
        left
    }
}

proptest! {
    #[test]
    fn a_copy_that_hears_of_changes_is_the_same(
        before in collection::vec(step(), 0..40), after in collection::vec(step(), 0..80),
    ) {
        let now = start();
        let mut two = Two { old: new_state(now), new: new_state(now), now: Cell::new(now) };
        before.iter().filter(|step| !matches!(step, Step::Piece(_))).for_each(|step| two.take(step));
        two.old.store.touched.track(true);
        two.new = loaded(&saved(&two.old, two.now.get()), two.now.get()).unwrap();
        after.iter().for_each(|step| two.take(step));
        prop_assert_eq!(two.piece(usize::MAX), 0);
        let now = two.now.get();
        prop_assert_eq!(keys_of(&two.new, now), keys_of(&two.old, now));
        prop_assert_eq!(two.new.commands, two.old.commands);
        two.old.store.purge(usize::MAX, now);
        two.new.store.purge(usize::MAX, now);
        prop_assert_eq!(two.new.store.len(), two.old.store.len());
        prop_assert_eq!(two.new.store.expiring(), two.old.store.expiring());
        prop_assert_eq!(two.new.store.next_due(), two.old.store.next_due());
    }
}
