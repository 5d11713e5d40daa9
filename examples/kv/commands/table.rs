//! The table of commands. From it come the look-up, a match on bytes, and the list for COMMAND.

use super::{Answer, Call, connection, info, keys, listen, strings};

/// One command, or one subcommand: `CLIENT|ID`.
pub struct Spec {
    /// In capitals.
    pub name: &'static [u8],
    /// How many arguments it has, the name included; below zero: at least so many.
    pub arity: i32,
    pub kind: Kind,
    /// Which arguments are keys: the first, the last (below zero: from the end), and the step.
    pub keys: [i64; 3],
    pub run: fn(&mut Call<'_, '_>) -> Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    /// Concerns no value.
    Other,
    /// The same, and a subscriber may use it.
    Always,
    /// Its first argument says which subcommand is meant.
    Container,
}

impl Spec {
    pub fn lower_name(&self) -> String {
        String::from_utf8_lossy(self.name).to_ascii_lowercase()
    }
}

macro_rules! commands {
    ($($name:literal $arity:literal $kind:ident $keys:ident $run:path;)*) => {
        /// All names that `find` knows.
        pub const NAMES: &[&[u8]] = &[$($name),*];

        /// The command of that name, which is in capitals. The compiler makes of this match a decision
        /// by length and then byte by byte.
        pub fn find(name: &[u8]) -> Option<&'static Spec> {
            Some(match name {
                $($name => const {
                    &Spec { name: $name, arity: $arity, kind: Kind::$kind, keys: $keys, run: $run }
                },)*
                _ => return None,
            })
        }
    };
}

/// A container is not called where it asks for two arguments: the second one leads elsewhere.
fn never(_call: &mut Call<'_, '_>) -> Answer {
    Ok(())
}

const NONE: [i64; 3] = [0, 0, 0];
const ONE: [i64; 3] = [1, 1, 1];
const TWO: [i64; 3] = [1, 2, 1];
const MANY: [i64; 3] = [1, -1, 1];
const PAIRS: [i64; 3] = [1, -1, 2];

commands! {
    b"GET" 2 Read ONE strings::get;
    b"SET" -3 Write ONE strings::set;
    b"SETNX" 3 Write ONE strings::setnx;
    b"GETSET" 3 Write ONE strings::getset;
    b"GETDEL" 2 Write ONE strings::getdel;
    b"MGET" -2 Read MANY strings::mget;
    b"MSET" -3 Write PAIRS strings::mset;
    b"APPEND" 3 Write ONE strings::append;
    b"STRLEN" 2 Read ONE strings::strlen;
    b"INCR" 2 Write ONE strings::incr;
    b"DECR" 2 Write ONE strings::decr;
    b"INCRBY" 3 Write ONE strings::incrby;
    b"DECRBY" 3 Write ONE strings::decrby;

    b"DEL" -2 Write MANY keys::del;
    b"EXISTS" -2 Read MANY keys::exists;
    b"EXPIRE" -3 Write ONE keys::expire;
    b"PEXPIRE" -3 Write ONE keys::pexpire;
    b"TTL" 2 Read ONE keys::ttl;
    b"PTTL" 2 Read ONE keys::pttl;
    b"PERSIST" 2 Write ONE keys::persist;
    b"TYPE" 2 Read ONE keys::kind;
    b"KEYS" 2 Read NONE keys::keys;
    b"SCAN" -2 Read NONE keys::scan;
    b"RANDOMKEY" 1 Read NONE keys::random;
    b"RENAME" 3 Write TWO keys::rename;
    b"DBSIZE" 1 Read NONE keys::dbsize;
    b"FLUSHALL" -1 Write NONE keys::flush;
    b"FLUSHDB" -1 Write NONE keys::flush;

    b"SUBSCRIBE" -2 Always NONE listen::subscribe;
    b"UNSUBSCRIBE" -1 Always NONE listen::unsubscribe;
    b"PSUBSCRIBE" -2 Always NONE listen::psubscribe;
    b"PUNSUBSCRIBE" -1 Always NONE listen::punsubscribe;
    b"PUBLISH" 3 Other NONE listen::publish;

    b"PING" -1 Always NONE connection::ping;
    b"QUIT" -1 Always NONE connection::quit;
    b"RESET" 1 Always NONE connection::reset;
    b"ECHO" 2 Other NONE connection::echo;
    b"SELECT" 2 Other NONE connection::select;
    b"HELLO" -1 Other NONE connection::hello;
    b"CLIENT" -2 Container NONE never;
    b"CLIENT|ID" 2 Other NONE connection::client_id;
    b"CLIENT|GETNAME" 2 Other NONE connection::client_getname;
    b"CLIENT|SETNAME" 3 Other NONE connection::client_setname;
    b"CLIENT|SETINFO" 4 Other NONE connection::client_setinfo;

    b"INFO" -1 Other NONE info::info;
    b"CONFIG" -2 Container NONE never;
    b"CONFIG|GET" -3 Other NONE info::config_get;
    b"COMMAND" -1 Container NONE info::command;
    b"COMMAND|COUNT" 2 Other NONE info::command_count;
    b"COMMAND|DOCS" -2 Other NONE info::command_docs;
    b"COMMAND|INFO" -2 Other NONE info::command_info;
}
