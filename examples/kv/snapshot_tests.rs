//! What is written is read, what is cut or of another version is refused, and size does not hurt.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{pubsub::Subscriptions, store::Expiry};
use super::*;

type Keys = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// Milliseconds, so that the times that are left are exact.
fn state_of(keys: &Keys, now: Instant) -> State {
    let mut store = Store::<RandomState>::new();
    for (key, (value, left)) in keys {
        let at = |left: u64| Expiry::At(now + Duration::from_millis(left));
        store.set(key, value, left.map_or(Expiry::Never, at), now);
    }
    let since = now - Duration::from_secs(7);
    State { store, hub: Hub::default(), clients: 5, commands: 6, since }
}

fn keys_of(state: &State, now: Instant) -> Keys {
    let left = |due: Instant| (due - now).as_millis() as u64;
    let items = state.store.items(now);
    items.map(|item| (item.key.to_vec(), (item.value.clone(), item.due.map(left)))).collect()
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..30)
}

proptest! {
    #[test]
    fn all_keys_are_there_again(keys in proptest::collection::btree_map(
        any_bytes(), (any_bytes(), proptest::option::of(1u64..1 << 40)), 0..50,
    )) {
        let now = Instant::now();
        let written = write_state(&state_of(&keys, now), now);
        let later = now + Duration::from_secs(60);
        let state = read_state(&written, later).unwrap();
        prop_assert_eq!(keys_of(&state, later), keys);
        prop_assert_eq!((state.clients, state.commands), (5, 6));
        prop_assert_eq!(later - state.since, Duration::from_secs(7));
        for cut in 0..written.len() {
            prop_assert!(read_state(&written[..cut], later).is_err());
        }
    }

    #[test]
    fn a_session_is_as_it_was(
        number: u64, name in any_bytes(),
        channels in proptest::collection::btree_set(any_bytes(), 0..5),
        patterns in proptest::collection::btree_set(any_bytes(), 0..5),
    ) {
        let subscriptions = Subscriptions { channels, patterns };
        let session = Session { number, name, subscriptions };
        let written = write_session(&session);
        prop_assert_eq!(read_session(&written).unwrap(), session);
        for cut in 0..written.len() {
            prop_assert!(read_session(&written[..cut]).is_err());
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let framed = [VERSION.to_le_bytes().as_slice(), &bytes].concat();
        let _ = read_state(&framed, Instant::now());
        let _ = read_session(&framed);
    }
}

#[test]
fn another_version_is_named() {
    let now = Instant::now();
    let mut written = write_state(&state_of(&Keys::new(), now), now);
    written[0] = 9;
    let why = read_state(&written, now).err().unwrap().to_string();
    assert!(why.contains("written in format 9, this program reads 1"), "{why}");
}

#[test]
fn what_has_expired_is_left_out() {
    let now = Instant::now();
    let keys = Keys::from([(b"k".to_vec(), (b"v".to_vec(), Some(10)))]);
    let then = now + Duration::from_millis(10);
    let written = write_state(&state_of(&keys, now), then);
    assert_eq!(read_state(&written, then).unwrap().store.len(), 0);
}

/// A number of keys that nobody has written.
#[test]
fn a_wrong_count_is_refused() {
    let now = Instant::now();
    let keys = Keys::from([(b"k".to_vec(), (b"v".to_vec(), Some(10)))]);
    let written = write_state(&state_of(&keys, now), now);
    for number in [u64::MAX, 2, 0] {
        let mut wrong = written.clone();
        wrong[HEAD - 8..HEAD].copy_from_slice(&number.to_le_bytes());
        assert!(read_state(&wrong, now).is_err(), "{number}");
    }
}
