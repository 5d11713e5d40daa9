//! What a service and its sessions know, written down by [serde](https://serde.rs): for those whose state is plain
//! data, so that nobody writes `save`, `load`, `export` and `import` by hand. Knows no service: the macro
//! [`carried!`](macro@crate::carried) puts these functions where one has its methods.
//!
//! ```text
//! written = version u32, little endian   CBOR (RFC 8949), by ciborium
//! ```
//!
//! CBOR has the names of fields in it, so a new version may have more of them (`#[serde(default)]`) or fewer
//! without another number. A number is for what serde alone cannot read: fields that mean something else.
//! What many places hold by `Rc` is [`shared`].

pub mod shared;

use std::io::{BufRead, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// Writes down a value, with the version of its form.
///
/// # Errors
/// Where `out` fails, or the value cannot be serialised.
pub fn write<T: Serialize>(version: u32, value: &T, out: &mut dyn Write) -> Result {
    out.write_all(&version.to_le_bytes())?;
    shared::within(|| ciborium::into_writer(value, out)).map_err(|e| not("write down", e))
}

/// The version that was [written](write()) in front.
///
/// # Errors
/// Where `saved` ends before it or fails.
pub fn version(saved: &mut dyn BufRead) -> Result<u32> {
    let mut version = [0; 4];
    saved.read_exact(&mut version)?;
    Ok(u32::from_le_bytes(version))
}

/// The value behind the [`version`], of any type that has its form. It reads no byte more.
///
/// # Errors
/// Where `saved` ends before it, fails, or has something else.
pub fn read<T: DeserializeOwned>(saved: &mut dyn BufRead) -> Result<T> {
    // By value: `from_reader` asks for a reader that has a size.
    shared::within(|| ciborium::from_reader(Sized(saved))).map_err(|e| not("read", e))
}

/// Writes a session down, as [`write()`] does.
///
/// # Errors
/// As those of [`write()`].
pub fn export<T: Serialize>(version: u32, session: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(version, session, &mut bytes)?;
    Ok(bytes)
}

/// What is said of a version that nobody reads.
#[must_use]
pub fn unknown(version: u32, known: &[u32]) -> Error {
    let known: Vec<_> = known.iter().map(u32::to_string).collect();
    format!("it is of version {version}, and this program reads {}", known.join(" and ")).into()
}

fn not(what: &str, why: impl std::fmt::Display) -> Error {
    format!("serde cannot {what} it: {why}").into()
}

struct Sized<'a>(&'a mut dyn BufRead);

impl Read for Sized<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Within an `impl Service`: [`save`](crate::Service::save), [`load`](crate::Service::load),
/// [`export`](crate::Service::export) and [`import`](crate::Service::import) by serde, where one field of the service,
/// or the service itself, is all that the next program is to know, and that and the sessions are `Serialize` and
/// `DeserializeOwned`.
///
/// ```text
/// heirloom::carried! { version 1, FIELD }
/// heirloom::carried! { version 1 }
/// heirloom::carried! { version 2, FIELD, from 1 = (OldState, OldSession) }
/// ```
///
/// The second form carries all of the service. The third one reads what a program of version 1 has written: the field's type is `From<OldState>`, and
/// that of the sessions `From<OldSession>`. There may be several such. A version that is not named ends
/// the restart with an error, and the old process serves on: so a roll back to a program that reads version 1 alone
/// needs one of version 1 to have committed. Fields that come or go need no new version: see
/// [`carried`](mod@crate::carried).
///
/// A session that cannot be serialised stays with the old process. An empty one, `()`, is carried as well: whose
/// connections are not to move says so by [`on_move`](crate::Service::on_move).
///
/// ```
/// use heirloom::{Connection, Origin, Result, Service, testing::Harness};
/// use serde::{Deserialize, Serialize};
/// use std::collections::BTreeMap;
///
/// /// How often each word was said.
/// #[derive(Default, Serialize, Deserialize)]
/// struct Words(BTreeMap<String, u64>);
///
/// /// The first version had no counts.
/// #[derive(Serialize, Deserialize)]
/// struct OldWords(Vec<String>);
///
/// impl From<OldWords> for Words {
///     fn from(OldWords(words): OldWords) -> Words {
///         Words(words.into_iter().map(|word| (word, 1)).collect())
///     }
/// }
///
/// /// And it did not count what one client says.
/// #[derive(Default, Serialize, Deserialize)]
/// struct Client { said: u64 }
///
/// impl From<()> for Client {
///     fn from((): ()) -> Client { Client::default() }
/// }
///
/// #[derive(Default)]
/// struct Counter { words: Words }
///
/// impl Service for Counter {
///     type Session = Client;
///
///     heirloom::carried! { version 2, words, from 1 = (OldWords, ()) }
///
///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Client> {
///         Ok(Client::default())
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, client: &mut Client, input: &[u8]) -> Result<usize> {
///         client.said += 1;
///         let count = self.words.0.entry(String::from_utf8_lossy(input).into()).or_default();
///         *count += 1;
///         conn.send(format!("{count} of {}\n", client.said).as_bytes());
///         Ok(input.len())
///     }
/// }
///
/// let mut harness = Harness::new(Counter::default());
/// let peer = harness.connect();
/// harness.feed(peer, b"so");
/// assert_eq!(harness.take(peer), b"1 of 1\n");
/// let mut harness = harness.restart(Counter::default())?;
/// harness.feed(peer, b"so");
/// assert_eq!(harness.take(peer), b"2 of 2\n");
/// # Ok::<(), heirloom::Error>(())
/// ```
#[macro_export]
macro_rules! carried {
    (version $version:literal, $field:ident $(, from $older:literal = ($State:ty, $Session:ty))* $(,)?) => {
        $crate::carried! { @methods $version, [.$field] $(, $older = ($State, $Session))* }
    };
    (version $version:literal $(, from $older:literal = ($State:ty, $Session:ty))* $(,)?) => {
        $crate::carried! { @methods $version, [] $(, $older = ($State, $Session))* }
    };
    (@methods $version:literal, [$($field:tt)*] $(, $older:literal = ($State:ty, $Session:ty))*) => {
        fn save(&self, out: &mut dyn ::std::io::Write) -> $crate::Result {
            let state = &(*self) $($field)*;
            $crate::carried::write($version, state, out)
        }

        fn load(&mut self, saved: &mut dyn ::std::io::BufRead) -> $crate::Result {
            let state = match $crate::carried::version(saved)? {
                $version => $crate::carried::read(saved)?,
                $($older => $crate::carried::read::<$State>(saved)?.into(),)*
                other => return Err($crate::carried::unknown(other, &[$version $(, $older)*])),
            };
            (*self) $($field)* = state;
            Ok(())
        }

        fn export(&self, session: &Self::Session) -> Option<Vec<u8>> {
            $crate::carried::export($version, session).ok()
        }

        fn import(
            &mut self,
            _conn: &mut $crate::Connection<'_>,
            mut saved: &[u8],
        ) -> $crate::Result<Self::Session> {
            let session = match $crate::carried::version(&mut saved)? {
                $version => $crate::carried::read(&mut saved)?,
                $($older => $crate::carried::read::<$Session>(&mut saved)?.into(),)*
                other => return Err($crate::carried::unknown(other, &[$version $(, $older)*])),
            };
            Ok(session)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Small {
        name: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Large {
        name: String,
        #[serde(default)]
        size: u64,
    }

    fn written<T: Serialize>(value: &T) -> Vec<u8> {
        export(7, value).expect("it can be written")
    }

    #[test]
    fn a_value_is_read_to_its_end_and_no_further() {
        let mut bytes = written(&Small { name: "so".into() });
        bytes.extend(b"rest");
        let mut rest = bytes.as_slice();
        assert_eq!(version(&mut rest).unwrap(), 7);
        assert_eq!(read::<Small>(&mut rest).unwrap().name, "so");
        assert_eq!(rest, b"rest");
    }

    #[test]
    fn fields_may_come_and_go() {
        let grown: Large = read(&mut &written(&Small { name: "so".into() })[4..]).unwrap();
        assert_eq!(grown, Large { name: "so".into(), size: 0 });
        let shrunk: Small =
            read(&mut &written(&Large { name: "so".into(), size: 3 })[4..]).unwrap();
        assert_eq!(shrunk.name, "so");
    }

    #[test]
    fn what_is_cut_off_anywhere_is_an_error() {
        let bytes = written(&Large { name: "so".into(), size: 300 });
        for cut in 0..bytes.len() {
            let mut saved = &bytes[..cut];
            let value = version(&mut saved).and_then(|_| read::<Large>(&mut saved));
            assert!(value.is_err(), "{cut}");
        }
        assert!(read::<Large>(&mut &written(&"text")[4..]).is_err());
    }

    #[test]
    fn a_version_that_is_not_known_is_named_with_those_that_are() {
        let text = unknown(4, &[3, 2]).to_string();
        assert_eq!(text, "it is of version 4, and this program reads 3 and 2");
    }
}
