//! What conversations remember, by slot, beside the table of connections. Pure.
//!
//! A service has one type of session, and whoever keeps its connections knows no service. So this is one dense
//! table of that type in a box that does not say which: each call names the type again, and is held to it.

use std::any::{Any, type_name};

/// The sessions of one service.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// A `Vec<Option<T>>`.
    table: Box<dyn Any>,
    /// The name of `T`, for whoever asks for another one.
    of: &'static str,
}

impl Sessions {
    /// None yet, of this type.
    pub fn new<T: 'static>() -> Sessions {
        Sessions { table: Box::new(Vec::<Option<T>>::new()), of: type_name::<T>() }
    }

    /// All of them.
    ///
    /// # Panics
    /// When `T` is another type, as in each of the calls below.
    pub fn table<T: 'static>(&mut self) -> &mut Vec<Option<T>> {
        let of = self.of;
        let Some(table) = self.table.downcast_mut() else { mistaken::<T>(of) };
        table
    }

    pub fn get<T: 'static>(&mut self, slot: usize) -> Option<&mut T> {
        self.table().get_mut(slot)?.as_mut()
    }

    pub fn take<T: 'static>(&mut self, slot: usize) -> Option<T> {
        self.table().get_mut(slot)?.take()
    }

    /// Puts a session into a slot that is new, or empty.
    pub fn put<T: 'static>(&mut self, slot: usize, session: T) {
        let table = self.table();
        if slot >= table.len() {
            table.resize_with(slot + 1, || None);
        }
        table[slot] = Some(session);
    }
}

/// Of no service: of one that has begun, it is that one's.
impl Default for Sessions {
    fn default() -> Sessions {
        Sessions::new::<()>()
    }
}

#[cold]
fn mistaken<T>(of: &str) -> ! {
    panic!("the sessions of this service are {of}, not {}", type_name::<T>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As in a plain map by slot, whatever is done.
        #[test]
        fn each_is_where_it_was_put(what in proptest::collection::vec((0..3u8, 0..9usize), 0..60)) {
            let (mut sessions, mut model) = (Sessions::new::<String>(), BTreeMap::new());
            for (round, (what, slot)) in what.into_iter().enumerate() {
                match what {
                    0 => {
                        sessions.put(slot, round.to_string());
                        model.insert(slot, round.to_string());
                    }
                    1 => prop_assert_eq!(sessions.take::<String>(slot), model.remove(&slot)),
                    _ => prop_assert_eq!(sessions.get::<String>(slot), model.get_mut(&slot)),
                }
                let there = sessions.table::<String>().iter().flatten();
                prop_assert!(there.eq(model.values()));
            }
        }
    }

    #[test]
    #[should_panic(expected = "the sessions of this service are u32, not u64")]
    fn whoever_asks_for_another_type_is_told_both() {
        Sessions::new::<u32>().get::<u64>(0);
    }
}
