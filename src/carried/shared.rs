//! For `#[serde(with = "heirloom::carried::shared")]`: an `Rc<[u8]>` or `Rc<str>` that a state holds in many places is
//! written down once, and is one again where it is read.
//!
//! serde alone writes it as often as it is held, and reads as many copies: a message that waits for a thousand
//! clients would need a thousand times its memory after an upgrade. So each goes along where it comes first, as a
//! string; where it comes again its number goes, in the order of the first ones. A field that was a plain string
//! before is read as well. Beyond one [`write()`](super::write()) or [`read()`](super::read()) nothing is shared.
//!
//! ```
//! use heirloom::carried;
//! use serde::{Deserialize, Serialize};
//! use std::rc::Rc;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Letter {
//!     to: String,
//!     #[serde(with = "carried::shared")]
//!     text: Rc<[u8]>, // as `Connection::send_shared` takes it
//! }
//!
//! let text: Rc<[u8]> = vec![b'x'; 100_000].into();
//! let letters: Vec<_> = (0..1000).map(|n| Letter { to: n.to_string(), text: Rc::clone(&text) }).collect();
//! let saved = carried::export(1, &letters)?;
//! assert!(saved.len() < 120_000);
//! let mut saved = &saved[4..]; // behind the version
//! let letters: Vec<Letter> = carried::read(&mut saved)?;
//! assert!(letters.iter().all(|letter| Rc::ptr_eq(&letter.text, &letters[0].text)));
//! # Ok::<(), heirloom::Error>(())
//! ```

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::HashMap,
    fmt,
    marker::PhantomData,
    rc::Rc,
};

use serde::{Deserializer, Serializer, de};

/// What was met so far of the value that is being written or read.
#[derive(Default)]
struct Met {
    /// By where it lies. Bytes and text may lie in one place, and are two things where they are read.
    numbers: HashMap<(*const u8, TypeId), u64>,
    /// By number: an `Rc` each. It also keeps the place from being somebody else's before all is written.
    values: Vec<Box<dyn Any>>,
}

thread_local! {
    static MET: RefCell<Option<Met>> = const { RefCell::new(None) };
}

/// Calls with nothing met, and forgets in the end what was.
pub(super) fn within<R>(call: impl FnOnce() -> R) -> R {
    struct Restore(Option<Met>);

    impl Drop for Restore {
        fn drop(&mut self) {
            MET.set(self.0.take());
        }
    }

    let _restore = Restore(MET.replace(Some(Met::default())));
    call()
}

/// What can be shared: bytes and text.
pub trait Shared: sealed::Sealed + 'static {
    #[doc(hidden)]
    fn bytes(&self) -> &[u8];
    #[doc(hidden)]
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    #[doc(hidden)]
    fn of(bytes: &[u8]) -> Option<Rc<Self>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for [u8] {}
    impl Sealed for str {}
}

impl Shared for [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }

    fn of(bytes: &[u8]) -> Option<Rc<[u8]>> {
        Some(bytes.into())
    }
}

impl Shared for str {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }

    fn of(bytes: &[u8]) -> Option<Rc<str>> {
        std::str::from_utf8(bytes).ok().map(Into::into)
    }
}

/// Writes all of it, or the number that it has got before.
///
/// # Errors
/// Those of `serializer`.
pub fn serialize<T: Shared + ?Sized, S: Serializer>(
    value: &Rc<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let known = MET.with_borrow_mut(|met| {
        let Met { numbers, values } = met.as_mut()?;
        let number = *numbers
            .entry((value.bytes().as_ptr(), TypeId::of::<T>()))
            .or_insert(values.len() as u64);
        let is_new = number == values.len() as u64;
        if is_new {
            values.push(Box::new(Rc::clone(value)));
        }
        (!is_new).then_some(number)
    });
    match known {
        Some(number) => serializer.serialize_u64(number),
        None => value.write(serializer),
    }
}

/// Reads it, or finds it again. The form has to say what comes (`deserialize_any`), as CBOR and JSON do.
///
/// # Errors
/// Those of `deserializer`; and where the number is none of what has come before, or of another type.
pub fn deserialize<'de, T: Shared + ?Sized, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Rc<T>, D::Error> {
    deserializer.deserialize_any(Visitor(PhantomData))
}

struct Visitor<T: ?Sized>(PhantomData<T>);

impl<T: Shared + ?Sized> de::Visitor<'_> for Visitor<T> {
    type Value = Rc<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or the number of one that came before")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Rc<T>, E> {
        let value = T::of(bytes).ok_or_else(|| E::custom("it is no UTF-8"))?;
        MET.with_borrow_mut(|met| {
            met.iter_mut().for_each(|met| met.values.push(Box::new(Rc::clone(&value))));
        });
        Ok(value)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Rc<T>, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Rc<T>, E> {
        let found = MET.with_borrow(|met| {
            let value = met.as_ref()?.values.get(usize::try_from(number).ok()?)?;
            value.downcast_ref::<Rc<T>>().cloned()
        });
        found.ok_or_else(|| {
            E::custom(format_args!("number {number} of what is shared has not come"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carried::{export, read};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pair {
        #[serde(with = "super")]
        text: Rc<str>,
        #[serde(with = "super")]
        bytes: Rc<[u8]>,
    }

    fn copied<T: Serialize, U: de::DeserializeOwned>(value: &T) -> crate::Result<U> {
        read(&mut &export(1, value)?[4..])
    }

    /// The second text lies where the bytes do.
    #[test]
    fn what_was_one_is_one_again_and_nothing_else_is() {
        let (text, other): (Rc<str>, Rc<str>) = ("so".into(), "so".into());
        let bytes: Rc<[u8]> = Rc::clone(&other).into();
        let pairs: Vec<_> = [&text, &other, &text, &other]
            .into_iter()
            .map(|text| Pair { text: Rc::clone(text), bytes: Rc::clone(&bytes) })
            .collect();
        let read: Vec<Pair> = copied(&pairs).unwrap();
        assert_eq!(read, pairs);
        assert!(
            Rc::ptr_eq(&read[0].text, &read[2].text) && Rc::ptr_eq(&read[1].text, &read[3].text)
        );
        assert!(!Rc::ptr_eq(&read[0].text, &read[1].text));
        assert!(read.iter().all(|pair| Rc::ptr_eq(&pair.bytes, &read[0].bytes)));
    }

    /// Made while it is written, each lies where the one before has lain.
    #[test]
    fn what_is_made_in_passing_is_not_taken_for_what_was_there_before() {
        struct Made(u32);

        impl Serialize for Made {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                super::serialize(&Rc::<str>::from(self.0.to_string()), serializer)
            }
        }

        let made: Vec<_> = (10..99).map(Made).collect();
        let expected: Vec<_> = (10..99).map(|number: u32| number.to_string()).collect();
        assert_eq!(copied::<_, Vec<String>>(&made).unwrap(), expected);
    }

    #[derive(Serialize)]
    struct Forged {
        bytes: &'static str,
        text: u64,
    }

    #[test]
    fn a_number_that_was_not_given_is_an_error() {
        let pair = |text: u64| copied::<_, Pair>(&Forged { bytes: "so", text });
        let said = pair(1).unwrap_err().to_string();
        assert!(said.contains("number 1 of what is shared has not come"), "{said}");
        assert!(pair(0).is_err(), "bytes are no text");
    }

    /// By what is not of this module, and what has come before is forgotten.
    #[test]
    fn elsewhere_each_is_written_by_itself() {
        let pair = Pair { text: "so".into(), bytes: b"so".as_slice().into() };
        let mut written = Vec::new();
        ciborium::into_writer(&[&pair, &pair], &mut written).unwrap();
        assert_eq!(written.windows(3).filter(|bytes| bytes == b"\x62so").count(), 2);
        assert_eq!(ciborium::from_reader::<[Pair; 2], _>(&*written).unwrap()[1], pair);
        assert!(copied::<_, Pair>(&Forged { bytes: "so", text: 1 }).is_err());
    }
}
