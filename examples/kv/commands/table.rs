//! The table of commands. From it come the look-up, a match on bytes; the arity, whose errors nobody else
//! writes; and what COMMAND and the HELP of each command with subcommands tell.

use super::{
    Answer, Call, Capitals, catalogue, client, client_list, config, connection, expiry, info, keys,
    listen, monitor, numbers, server, set, strings, transactions,
};

/// One command, or one subcommand: `CLIENT|ID`.
pub struct Spec {
    /// In capitals.
    pub name: &'static [u8],
    /// How many arguments it has, the name included; below zero: at least so many.
    pub arity: i32,
    flags: u8,
    /// Which arguments are keys: the first, the last (below zero: from the end), and the step.
    pub keys: [i64; 3],
    pub run: fn(&mut Call<'_, '_>) -> Answer,
}

/// It concerns no value, and nothing else is to be said about it.
const PLAIN: u8 = 0;
/// It looks at values.
pub const READ: u8 = 1;
/// It changes them.
pub const WRITE: u8 = 2;
/// A subscriber may use it.
pub const SUBSCRIBED: u8 = 4;
/// It is carried out within a transaction, not with it.
pub const AT_ONCE: u8 = 8;
/// It is about the server; no monitor is shown it.
pub const ADMIN: u8 = 16;
/// Its first argument says which subcommand is meant.
pub const CONTAINER: u8 = 32;
/// It is one, whose name no client says as it is here.
const SUBCOMMAND: u8 = 64;

impl Spec {
    /// Whether it has that flag.
    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub fn lower_name(&self) -> String {
        String::from_utf8_lossy(self.name).to_ascii_lowercase()
    }
}

/// The command of that name. Nearly every client writes capitals as they are in the table.
pub fn named(name: &[u8]) -> Option<&'static Spec> {
    let spec = find(name).or_else(|| find(Capitals::of(name).as_bytes()));
    spec.filter(|spec| !spec.is(SUBCOMMAND))
}

pub fn sub_named(name: &[u8], sub: &[u8]) -> Option<&'static Spec> {
    let mut word = Capitals::of(name);
    word.push(b"|");
    word.push(sub);
    find(word.as_bytes())
}

/// All commands, without the subcommands.
pub fn commands() -> impl Iterator<Item = &'static Spec> {
    NAMES.iter().filter(|name| !name.contains(&b'|')).filter_map(|name| find(name))
}

/// The subcommands of that command, which is in capitals.
pub fn subcommands(name: &[u8]) -> impl Iterator<Item = &'static [u8]> {
    NAMES.iter().filter_map(move |full| full.strip_prefix(name)?.strip_prefix(b"|"))
}

macro_rules! commands {
    ($($name:literal $arity:literal ($($flag:ident)+) $keys:ident $run:path;)*) => {
        /// All names that `find` knows.
        const NAMES: &[&[u8]] = &[$($name),*];

        /// The command of that name, which is in capitals. The compiler makes of this match a decision
        /// by length and then byte by byte.
        fn find(name: &[u8]) -> Option<&'static Spec> {
            Some(match name {
                $($name => const {
                    let flags = $($flag)|+ | subcommand($name);
                    &Spec { name: $name, arity: $arity, flags, keys: $keys, run: $run }
                },)*
                _ => return None,
            })
        }
    };
}

/// The flag of names like `CLIENT|ID`.
const fn subcommand(name: &[u8]) -> u8 {
    match name {
        [] => 0,
        [b'|', ..] => SUBCOMMAND,
        [_, rest @ ..] => subcommand(rest),
    }
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
const SECOND: [i64; 3] = [2, 2, 1];

commands! {
    b"GET" 2 (READ) ONE strings::get;
    b"SET" -3 (WRITE) ONE set::set;
    b"SETEX" 4 (WRITE) ONE set::setex;
    b"PSETEX" 4 (WRITE) ONE set::psetex;
    b"SETNX" 3 (WRITE) ONE set::setnx;
    b"GETEX" -2 (WRITE) ONE set::getex;
    b"GETSET" 3 (WRITE) ONE strings::getset;
    b"GETDEL" 2 (WRITE) ONE strings::getdel;
    b"MGET" -2 (READ) MANY strings::mget;
    b"MSET" -3 (WRITE) PAIRS strings::mset;
    b"MSETNX" -3 (WRITE) PAIRS strings::msetnx;
    b"APPEND" 3 (WRITE) ONE strings::append;
    b"STRLEN" 2 (READ) ONE strings::strlen;
    b"GETRANGE" 4 (READ) ONE strings::getrange;
    b"SUBSTR" 4 (READ) ONE strings::getrange;
    b"SETRANGE" 4 (WRITE) ONE strings::setrange;
    b"INCR" 2 (WRITE) ONE numbers::incr;
    b"DECR" 2 (WRITE) ONE numbers::decr;
    b"INCRBY" 3 (WRITE) ONE numbers::incrby;
    b"DECRBY" 3 (WRITE) ONE numbers::decrby;
    b"INCRBYFLOAT" 3 (WRITE) ONE numbers::incrbyfloat;

    b"DEL" -2 (WRITE) MANY keys::del;
    b"UNLINK" -2 (WRITE) MANY keys::del;
    b"EXISTS" -2 (READ) MANY keys::exists;
    b"TOUCH" -2 (READ) MANY keys::exists;
    b"TYPE" 2 (READ) ONE keys::kind;
    b"KEYS" 2 (READ) NONE keys::keys;
    b"SCAN" -2 (READ) NONE keys::scan;
    b"RANDOMKEY" 1 (READ) NONE keys::random;
    b"RENAME" 3 (WRITE) TWO keys::rename;
    b"RENAMENX" 3 (WRITE) TWO keys::renamenx;
    b"COPY" -3 (WRITE) TWO keys::copy;
    b"DBSIZE" 1 (READ) NONE keys::dbsize;
    b"FLUSHALL" -1 (WRITE) NONE keys::flush;
    b"FLUSHDB" -1 (WRITE) NONE keys::flush;
    b"OBJECT" -2 (CONTAINER) NONE never;
    b"OBJECT|ENCODING" 3 (READ) SECOND keys::encoding;
    b"OBJECT|REFCOUNT" 3 (READ) SECOND keys::refcount;
    b"OBJECT|HELP" 2 (PLAIN) NONE catalogue::help;

    b"EXPIRE" -3 (WRITE) ONE expiry::expire;
    b"PEXPIRE" -3 (WRITE) ONE expiry::pexpire;
    b"EXPIREAT" -3 (WRITE) ONE expiry::expireat;
    b"PEXPIREAT" -3 (WRITE) ONE expiry::pexpireat;
    b"TTL" 2 (READ) ONE expiry::ttl;
    b"PTTL" 2 (READ) ONE expiry::pttl;
    b"EXPIRETIME" 2 (READ) ONE expiry::expiretime;
    b"PEXPIRETIME" 2 (READ) ONE expiry::pexpiretime;
    b"PERSIST" 2 (WRITE) ONE expiry::persist;

    b"MULTI" 1 (AT_ONCE) NONE transactions::multi;
    b"EXEC" 1 (AT_ONCE) NONE transactions::exec;
    b"DISCARD" 1 (AT_ONCE) NONE transactions::discard;
    b"WATCH" -2 (AT_ONCE) MANY transactions::watch;
    b"UNWATCH" 1 (PLAIN) NONE transactions::unwatch;

    b"SUBSCRIBE" -2 (SUBSCRIBED) NONE listen::subscribe;
    b"UNSUBSCRIBE" -1 (SUBSCRIBED) NONE listen::unsubscribe;
    b"PSUBSCRIBE" -2 (SUBSCRIBED) NONE listen::psubscribe;
    b"PUNSUBSCRIBE" -1 (SUBSCRIBED) NONE listen::punsubscribe;
    b"PUBLISH" 3 (PLAIN) NONE listen::publish;
    b"PUBSUB" -2 (CONTAINER) NONE never;
    b"PUBSUB|CHANNELS" -2 (PLAIN) NONE listen::channels;
    b"PUBSUB|NUMSUB" -2 (PLAIN) NONE listen::numsub;
    b"PUBSUB|NUMPAT" 2 (PLAIN) NONE listen::numpat;
    b"PUBSUB|HELP" 2 (PLAIN) NONE catalogue::help;

    b"PING" -1 (SUBSCRIBED) NONE connection::ping;
    b"QUIT" -1 (SUBSCRIBED AT_ONCE) NONE connection::quit;
    b"RESET" 1 (SUBSCRIBED AT_ONCE) NONE connection::reset;
    b"ECHO" 2 (PLAIN) NONE connection::echo;
    b"SELECT" 2 (PLAIN) NONE connection::select;
    b"HELLO" -1 (PLAIN) NONE connection::hello;
    b"AUTH" -2 (ADMIN) NONE connection::auth;
    b"CLIENT" -2 (CONTAINER) NONE never;
    b"CLIENT|ID" 2 (PLAIN) NONE client::id;
    b"CLIENT|GETNAME" 2 (PLAIN) NONE client::getname;
    b"CLIENT|SETNAME" 3 (PLAIN) NONE client::setname;
    b"CLIENT|SETINFO" 4 (PLAIN) NONE client::setinfo;
    b"CLIENT|GETREDIR" 2 (PLAIN) NONE client::getredir;
    b"CLIENT|REPLY" 3 (PLAIN) NONE client::reply;
    b"CLIENT|NO-EVICT" 3 (ADMIN) NONE client::on_or_off;
    b"CLIENT|NO-TOUCH" 3 (PLAIN) NONE client::on_or_off;
    b"CLIENT|INFO" 2 (PLAIN) NONE client_list::info;
    b"CLIENT|LIST" -2 (ADMIN) NONE client_list::list;
    b"CLIENT|KILL" -3 (ADMIN) NONE client_list::kill;
    b"CLIENT|HELP" 2 (PLAIN) NONE catalogue::help;

    b"INFO" -1 (PLAIN) NONE info::info;
    b"TIME" 1 (PLAIN) NONE server::time;
    b"LOLWUT" -1 (PLAIN) NONE server::lolwut;
    b"MONITOR" 1 (ADMIN) NONE monitor::monitor;
    b"MEMORY" -2 (CONTAINER) NONE never;
    b"MEMORY|USAGE" -3 (READ) SECOND server::memory_usage;
    b"MEMORY|HELP" 2 (PLAIN) NONE catalogue::help;
    b"CONFIG" -2 (CONTAINER) NONE never;
    b"CONFIG|GET" -3 (ADMIN) NONE config::get;
    b"CONFIG|SET" -4 (ADMIN) NONE config::set;
    b"CONFIG|HELP" 2 (PLAIN) NONE catalogue::help;
    b"COMMAND" -1 (CONTAINER) NONE catalogue::command;
    b"COMMAND|COUNT" 2 (PLAIN) NONE catalogue::count;
    b"COMMAND|DOCS" -2 (PLAIN) NONE catalogue::docs;
    b"COMMAND|INFO" -2 (PLAIN) NONE catalogue::info;
    b"COMMAND|LIST" 2 (PLAIN) NONE catalogue::list;
    b"COMMAND|HELP" 2 (PLAIN) NONE catalogue::help;
}
